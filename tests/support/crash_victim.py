"""Load one month as `taxi run` does, or migrate, in a process that can kill itself at a chosen place.

A place is a call made by, or a return from, a function of the modules in WATCHED, which download, clean,
write or load: `nyc_taxi.load.postgres.swap:40:execute`. Places include the start and end of every step,
every statement sent to a database and every request sent to a store.

Victims are forked from a process that has imported everything, so that they start fast.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import random
import signal
import sys
import threading
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType
from typing import Any

from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.run import Run, RunContext
from nyc_taxi.pipelines import migration
from nyc_taxi.settings import load_settings
from tests.support.kill_points import checked_modules
from tests.support.runs import run_month

WATCHED = checked_modules(
    "nyc_taxi.pipelines.trips",
    "nyc_taxi.transform.clean",
    "nyc_taxi.transform.stage",
    "nyc_taxi.transform.parquet",
    "nyc_taxi.transform.judged",
    "nyc_taxi.transform.match",
    "nyc_taxi.extract",
    "nyc_taxi.transform.refined",
    "nyc_taxi.lake",
    "nyc_taxi.load",
)
"""Modules, and packages including their modules."""

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(
    [
        __name__,
        "nyc_taxi.load.postgres.load",
        "nyc_taxi.load.warehouse.duckdb.load",
        "nyc_taxi.load.warehouse.bigquery.load",
        "nyc_taxi.load.object_store.gcs",
        "nyc_taxi.load.object_store.s3",
        *("psycopg2", "boto3", "google.cloud.storage", "google.cloud.bigquery"),
    ]
)


@functools.cache  # called for every Python call
def watched(module: str) -> str | None:
    """Return the module or package of WATCHED that contains this module, if any."""
    return next((name for name in WATCHED if f"{module}.".startswith(f"{name}.")), None)


def start(
    month: str, source: Path, destination: str, kill: str | None = None, places: Path | None = None
) -> BaseProcess:
    """Start a victim that dies at the place `kill`, or writes all places it passes to the file `places`."""
    return _start(_load, (month, source, destination), kill, places)


def start_migration(destination: str, kill: str | None = None, places: Path | None = None) -> BaseProcess:
    """The same for `taxi migrate`."""
    return _start(_migrate, (destination,), kill, places)


def spread(places: list[str], count: int) -> list[str]:
    """Choose evenly spread places, in random order."""
    chosen = [places[round(index * (len(places) - 1) / max(count - 1, 1))] for index in range(count)]
    random.Random(1).shuffle(chosen)
    return chosen


def ended(victim: BaseProcess) -> int:
    """Wait for a victim; returns its exit code, 0 or -9."""
    victim.join()
    assert victim.exitcode in (0, -signal.SIGKILL), f"exit code {victim.exitcode}"
    return victim.exitcode


class _Watch:
    """A profile function that records places, and kills the process at one of them."""

    def __init__(self, kill: str | None) -> None:
        self._kill = kill
        self._lock = threading.Lock()
        self.places: dict[str, None] = {}

    def __call__(self, frame: FrameType, event: str, callee: Any) -> None:
        module = frame.f_globals.get("__name__", "")
        if event not in ("c_call", "call", "return") or not watched(module):
            return
        what = getattr(callee, "__name__", "?") if event == "c_call" else event
        place = f"{module}:{frame.f_lineno}:{what}"
        if place == self._kill:
            os.kill(os.getpid(), signal.SIGKILL)
        with self._lock:
            self.places[place] = None


def _start(
    work: Callable[..., None], arguments: tuple[object, ...], kill: str | None, places: Path | None
) -> BaseProcess:
    victim = _FORKS.Process(target=_run, args=(dict(os.environ), work, arguments, kill, places))
    victim.start()
    return victim


def _run(
    environment: dict[str, str],
    work: Callable[..., None],
    arguments: tuple[object, ...],
    kill: str | None,
    places: Path | None,
) -> None:
    os.environ.clear()
    os.environ.update(environment)
    watch = _Watch(kill)
    if kill or places:
        threading.setprofile(watch)
        sys.setprofile(watch)
    work(*arguments)
    sys.setprofile(None)
    if places:
        places.write_text("\n".join(watch.places))


def _load(month: str, source: Path, destination: str) -> None:
    run_month(Service.GREEN, Month.parse(month), str(source), [destination], _this_run())


def _migrate(destination: str) -> None:
    context = RunContext(load_settings(), _this_run())
    steps = migration.migrate(destination, context.settings, dry_run=False)
    for result in migration.reload_months(destination, steps, context):
        assert result.error is None


def _this_run() -> Run:
    return Run(f"crash-{os.getpid()}", "cli")
