"""Run loads in processes that kill or stop themselves, forked from a warm process to be fast."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path

from nyc_taxi.load.registry import REGISTRY, open_destination
from nyc_taxi.model.references import MonthFiles
from nyc_taxi.model.run import Run
from nyc_taxi.settings import load_settings
from nyc_taxi.transform.refined import RefinedMonth
from tests.support import archive
from tests.support.kill_points import KillPoint
from tests.support.waiting import until

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(
    [
        __name__,
        *(registration.implementation.partition(":")[0] for registration in REGISTRY.values()),
        *("psycopg2", "boto3", "google.cloud.storage", "google.cloud.bigquery"),
    ]
)


def load_and_kill(destination: str, files: MonthFiles, kill_point: str) -> None:
    """Load the month in a process that dies at the kill point; fails if it does not reach it.

    See `tests.support.kill_points`.
    """
    process = _start(destination, files, kill_point, signal.SIGKILL)
    process.join(60)
    assert process.exitcode == -signal.SIGKILL, f"{kill_point} was not passed"


@contextlib.contextmanager
def stopped_load(destination: str, files: MonthFiles, place: str) -> Iterator[BaseProcess]:
    """Yield a process that loads the month and is stopped (SIGSTOP) at a kill point; killed at the end."""
    process = _start(destination, files, place, signal.SIGSTOP)
    try:
        until(lambda: not process.is_alive() or _is_stopped(process), seconds=60)
        assert process.is_alive(), f"{place} was not passed"
        yield process
    finally:
        process.kill()
        process.join()


def resume(process: BaseProcess) -> int | None:
    """Resume a stopped load; returns its exit code."""
    assert process.pid
    os.kill(process.pid, signal.SIGCONT)
    process.join(60)
    return process.exitcode


def _is_stopped(process: BaseProcess) -> bool:
    """Return whether the process is in state T, which Linux lists after the command in parentheses."""
    stat = Path(f"/proc/{process.pid}/stat").read_text()
    return stat.rpartition(")")[2].split()[0] == "T"


def _start(destination: str, files: MonthFiles, place: str, number: signal.Signals) -> BaseProcess:
    process = _FORKS.Process(target=_load, args=(dict(os.environ), destination, files, place, number))
    process.start()
    return process


def _load(
    environment: dict[str, str], destination: str, files: MonthFiles, place: str, number: signal.Signals
) -> None:
    os.environ.clear()
    os.environ.update(environment)
    REGISTRY[archive.REGISTRATION.name] = archive.REGISTRATION
    opened = open_destination(destination, load_settings())
    KillPoint.parse(place).kill_here(number)
    opened.replace_month(RefinedMonth.of(files), Run("killed", "cli"))
