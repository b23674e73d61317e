"""A process of Mage as a child: everything it writes goes to a log, and nothing of it outlives us."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

MAGE = [sys.executable, "-m", "mage_ai.cli.main"]
"""The command `mage`, also where it is not on the path."""

START = [sys.executable, "-m", "launchers.mage.mage_patches", "start"]
"""`mage start`, corrected: see launchers.mage.mage_patches."""

MEMORY = {"JE_ARROW_MALLOC_CONF": "dirty_decay_ms:50,muzzy_decay_ms:0"}
"""For its environment: Arrow gives back what it frees at once, 30 MB less at a month's peak, 3 % more time.

Mage alone takes 390 MB before the first block begins.
"""

GRACE = 5
"""Seconds a process may take to end before it is killed."""


class Stopped(Exception):
    """Someone asked us to stop; `code` is the exit code that says so."""

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.code = 128 + signum


@contextmanager
def subprocess_group(
    command: list[str], log: Path, environment: dict[str, str], **options: Any
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command with its output in `log`; when the block is left, its whole process group has ended.

    Raises Stopped inside the block when this process gets SIGINT, SIGTERM or SIGHUP. `options` are Popen's.
    """

    def stop(signum: int, _frame: object) -> None:
        for number in before:
            signal.signal(number, signal.SIG_IGN)  # once is enough: the children are being ended
        raise Stopped(signum)

    log.parent.mkdir(parents=True, exist_ok=True)
    before = {
        number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    try:
        with log.open("wb") as output:
            process = subprocess.Popen(
                # a group of its own: Mage forks, and its scheduler would outlive a signal to the parent alone
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **options,
            )
        try:
            yield process
        finally:
            _end_group(process)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """Ask every process of the group to end, and insist after a while."""
    with suppress(ProcessLookupError):  # raised as soon as the group is empty
        for signum, patience in ((signal.SIGTERM, GRACE), (signal.SIGKILL, 1)):
            os.killpg(process.pid, signum)
            deadline = time.monotonic() + patience
            while time.monotonic() < deadline:
                process.poll()  # until it is waited for, a process that has ended counts as a member
                os.killpg(process.pid, 0)
                time.sleep(0.02)
    process.wait()


def reason(log: Path) -> str | None:
    """Why a process of Mage failed: the last exception in its log, without the traceback.

    Of exceptions that were raised while others were handled it is the last that tells what happened; Mage
    runs a pipeline while it handles one of its own.
    """
    last = current = None
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("Traceback (most recent call last)"):
            last, current = current or last, None
        elif line.startswith(_HANDLED):
            current = None
        # a failed test of a block is told in its own words, not in Mage's
        elif (found := _EXCEPTION.match(line)) and not found[1].startswith("Failed to pass tests for block"):
            current = found[1]
    return current or last


_EXCEPTION = re.compile(r"(?:nyc_taxi\.errors\.\w+|(?:[\w.]+\.)?\w*(?:Error|Exception)): (.+)")
_HANDLED = ("During handling of the above exception,", "The above exception was the direct cause")
"""What Python writes between the exceptions of one traceback."""
