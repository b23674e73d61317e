"""Run Mage as a child process: its output goes to a log, and its process group ends with the caller."""

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

MAGE = [sys.executable, "-m", "launchers.mage.command"]
"""The command `mage`, independent of PATH."""

START = [sys.executable, "-m", "launchers.mage.mage_patches", "start"]
"""`mage start` with the patches of launchers.mage.mage_patches."""

MEMORY = {"JE_ARROW_MALLOC_CONF": "dirty_decay_ms:50,muzzy_decay_ms:0"}
"""Variables that make Arrow return freed memory at once: 30 MB less at peak for 3 % more time.

Mage alone needs 390 MB before the first block starts.
"""

GRACE = 5
"""Seconds between SIGTERM and SIGKILL."""


class Stopped(Exception):
    """This process received a signal to stop; `code` is the corresponding exit code."""

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.code = 128 + signum


@contextmanager
def subprocess_group(
    command: list[str], log: Path, environment: dict[str, str], **options: Any
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command with its output in `log`, and end its whole process group on exit from the context.

    Raises Stopped in the context on SIGINT, SIGTERM or SIGHUP. `options` are Popen's.
    """

    def stop(signum: int, _frame: object) -> None:
        for number in before:
            signal.signal(number, signal.SIG_IGN)  # the children are already being stopped
        raise Stopped(signum)

    log.parent.mkdir(parents=True, exist_ok=True)
    before = {
        number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    try:
        with log.open("wb") as output:
            process = subprocess.Popen(
                # Mage forks; a signal to the parent alone would leave its scheduler running
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
                process.poll()  # a zombie belongs to the group until it is reaped
                os.killpg(process.pid, 0)
                time.sleep(0.02)
    process.wait()


def reason(log: Path) -> str | None:
    """Return why a process of Mage failed: the last exception in its log, without the traceback.

    Of chained exceptions the last one is relevant: Mage runs pipelines while handling an exception.
    """
    last = current = None
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("Traceback (most recent call last)"):
            last, current = current or last, None
        elif line.startswith(_HANDLED):
            current = None
        # Mage's own exception for a failed block test is less specific than the test's
        elif (match := _EXCEPTION.match(line)) and not match[1].startswith("Failed to pass tests for block"):
            current = match[1]
    return current or last


_EXCEPTION = re.compile(r"(?:nyc_taxi\.errors\.\w+|(?:[\w.]+\.)?\w*(?:Error|Exception)): (.+)")
_HANDLED = ("During handling of the above exception,", "The above exception was the direct cause")
"""Python's text between chained exceptions."""
