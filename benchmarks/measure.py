"""Measure a process: wall and CPU seconds, peak memory, and the step times that it prints."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from nyc_taxi.settings import PROJECT

PATIENCE = 1800.0
"""Seconds after which a process is killed."""


class Failed(Exception):
    """A contender failed; the message is one sentence."""


@dataclass(frozen=True)
class Measured:
    """One run of one process, with its children."""

    wall: float
    """Seconds from start to end."""
    cpu: float
    """User and system seconds of the process and its children, without the server's."""
    memory: float
    """Maximum resident size of any of them, in MB (millions of bytes)."""
    steps: dict[str, float] = field(default_factory=dict)
    """Seconds by step, as printed by the process: `clean 1.2 s`, `clean_trips: 1.2 s`."""


def run(command: list[str], environment: dict[str, str], log: Path) -> Measured:
    """Run a command in the project's folder; raises Failed with the end of its output.

    Linux includes the parent's memory at fork in a child's peak, so this process must stay small: it imports
    neither pyarrow nor pandas nor DuckDB.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        started = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=PROJECT, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
        killer = threading.Timer(PATIENCE, process.kill)
        killer.start()
        try:
            _, status, used = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            process.wait()
            raise
        finally:
            killer.cancel()
        wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    printed = log.read_text(encoding="utf-8", errors="replace")
    if process.returncode != 0:
        last = printed.strip().splitlines()[-1:] or ["it printed nothing"]
        raise Failed(f"exit code {process.returncode}: {last[0].strip()}")
    peak = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6
    return Measured(wall, used.ru_utime + used.ru_stime, peak, _steps(printed))


def _steps(output: str) -> dict[str, float]:
    return {name: float(seconds) for name, seconds in re.findall(r"\b([a-z]\w*):? (\d+\.\d+) s\b", output)}
