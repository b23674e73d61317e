"""Loads one month as `taxi run` does, and may kill itself at a chosen place of the code on the way.

A place is a call made by, or a return from, a function of the package that downloads, cleans, writes
or loads: `destinations/postgres/swap.py:40:execute`. So every step's beginning and end is one, and so
is every statement sent to a database and every request sent to a store.

Victims are processes forked from one that has imported everything, which makes them quick.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType
from typing import Any

import nyc_taxi
from nyc_taxi.load.contract import Run
from nyc_taxi.model.months import Month, Service
from nyc_taxi.pipelines import trips
from nyc_taxi.settings import settings

PACKAGE = str(Path(nyc_taxi.__file__).parent) + os.sep
WATCHED = (
    "flow.py",
    "clean.py",
    "stage.py",
    "parquet.py",
    "judged.py",
    "match.py",
    "download/",
    "destinations/",
)

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(
    [
        __name__,
        "nyc_taxi.load.postgres.load",
        "nyc_taxi.load.warehouse.duckdb.load",
        "nyc_taxi.load.warehouse.bigquery.load",
        "nyc_taxi.load.object_store.gcs.load",
        "nyc_taxi.load.object_store.s3.load",
        *("psycopg2", "boto3", "google.cloud.storage", "google.cloud.bigquery"),
    ]
)


def start(
    month: str, source: Path, destination: str, kill: str | None = None, places: Path | None = None
) -> BaseProcess:
    """Start a victim that dies at the place `kill`, or writes all places it passes into the file `places`."""
    options = {"kill": kill, "places": places}
    victim = _FORKS.Process(target=_load, args=(dict(os.environ), month, source, destination), kwargs=options)
    victim.start()
    return victim


def ended(victim: BaseProcess) -> int:
    """Wait for a victim; its exit code, 0 or -9."""
    victim.join()
    assert victim.exitcode in (0, -signal.SIGKILL), f"exit code {victim.exitcode}"
    return victim.exitcode


class _Watch:
    """A profile function that notes places, and ends the process at one of them."""

    def __init__(self, kill: str | None) -> None:
        self._kill = kill
        self._lock = threading.Lock()
        self.places: dict[str, None] = {}

    def __call__(self, frame: FrameType, event: str, callee: Any) -> None:
        file = frame.f_code.co_filename
        if event not in ("c_call", "call", "return") or not file.startswith(PACKAGE):
            return
        name = file.removeprefix(PACKAGE)
        if not name.startswith(WATCHED):
            return
        what = getattr(callee, "__name__", "?") if event == "c_call" else event
        place = f"{name}:{frame.f_lineno}:{what}"
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
    settings.cache_clear()
    watch = _Watch(kill)
    if kill or places:
        threading.setprofile(watch)
        sys.setprofile(watch)
    run = Run(f"crash-{os.getpid()}", "cli")
    trips.run_month(Service.GREEN, Month.parse(month), str(source), [destination], run)
    sys.setprofile(None)
    if places:
        places.write_text("\n".join(watch.places))
