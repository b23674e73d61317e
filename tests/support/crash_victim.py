"""Load one month as `taxi run` does, in a process that can kill itself at a chosen place in the code.

A place is a call made by, or a return from, a function of the modules in WATCHED, which download, clean,
write or load: `nyc_taxi.load.postgres.swap:40:execute`. Places include the start and end of every step,
every statement sent to a database and every request sent to a store.

Victims are forked from a process that has imported everything, so that they start fast.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import signal
import sys
import threading
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType
from typing import Any

from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.run import Run
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
    options = {"kill": kill, "places": places}
    victim = _FORKS.Process(target=_load, args=(dict(os.environ), month, source, destination), kwargs=options)
    victim.start()
    return victim


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


def _load(
    environment: dict[str, str],
    month: str,
    source: Path,
    destination: str,
    kill: str | None,
    places: Path | None,
) -> None:
    os.environ.clear()
    os.environ.update(environment)
    watch = _Watch(kill)
    if kill or places:
        threading.setprofile(watch)
        sys.setprofile(watch)
    run = Run(f"crash-{os.getpid()}", "cli")
    run_month(Service.GREEN, Month.parse(month), str(source), [destination], run)
    sys.setprofile(None)
    if places:
        places.write_text("\n".join(watch.places))
