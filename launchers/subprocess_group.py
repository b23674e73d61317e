"""Runs Mage as a child process: its output goes to a log, and its process group ends with the caller."""

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
"""The command `mage`, which need not be on PATH."""

START = [sys.executable, "-m", "launchers.mage.mage_patches", "start"]
"""`mage start` with the patches of launchers.mage.mage_patches."""

MEMORY = {"JE_ARROW_MALLOC_CONF": "dirty_decay_ms:50,muzzy_decay_ms:0"}
"""Environment variables that make Arrow return freed memory at once: 30 MB less at peak, 3 % more time.

Mage alone needs 390 MB before the first block starts.
"""

GRACE = 5
"""Seconds that a process has to end before it is killed."""


class Stopped(Exception):
    """This process received a signal to stop; `code` is the corresponding exit code."""

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.code = 128 + signum


@contextmanager
def subprocess_group(
    command: list[str], log: Path, environment: dict[str, str], **options: Any
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command with its output in `log`; on exit from the block, its whole process group is ended.

    Raises Stopped in the block if this process receives SIGINT, SIGTERM or SIGHUP. `options` are Popen's.
    """

    def stop(signum: int, _frame: object) -> None:
        for number in before:
            signal.signal(number, signal.SIG_IGN)  # the children are already being ended
        raise Stopped(signum)

    log.parent.mkdir(parents=True, exist_ok=True)
    before = {
        number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    try:
        with log.open("wb") as output:
            process = subprocess.Popen(
                # a group of its own: Mage forks, and a signal to the parent leaves its scheduler running
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
    """Send SIGTERM to every process of the group, and SIGKILL after GRACE seconds."""
    with suppress(ProcessLookupError):  # raised once the group is empty
        for signum, seconds in ((signal.SIGTERM, GRACE), (signal.SIGKILL, 1)):
            os.killpg(process.pid, signum)
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline:
                process.poll()  # an ended process belongs to the group until it is waited for
                os.killpg(process.pid, 0)
                time.sleep(0.02)
    process.wait()


def reason(log: Path) -> str | None:
    """Why a process of Mage failed: the last exception in its log, without the traceback.

    Of chained exceptions the last one counts: Mage runs pipelines while it handles an exception.
    """
    last = current = None
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("Traceback (most recent call last)"):
            last, current = current or last, None
        elif line.startswith(_HANDLED):
            current = None
        # Mage's own exception for a failed test of a block says less than the test's
        elif (match := _EXCEPTION.match(line)) and not match[1].startswith("Failed to pass tests for block"):
            current = match[1]
    return current or last


_EXCEPTION = re.compile(r"(?:nyc_taxi\.errors\.\w+|(?:[\w.]+\.)?\w*(?:Error|Exception)): (.+)")
_HANDLED = ("During handling of the above exception,", "The above exception was the direct cause")
"""What Python prints between chained exceptions."""
