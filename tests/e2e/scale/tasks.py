"""The tasks of a month as Airflow's workers run them, each in a process of its own.

A task gets references as plain values and a workspace, and leaves a reference or an error. It may be told to
die at a place of the code (`tests.support.kill_points`).
"""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import stamina

from nyc_taxi.errors import TaxiError, Transient
from nyc_taxi.load.registry import open_destination
from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.references import MonthFiles, SourceFile
from nyc_taxi.model.run import Run, RunContext
from nyc_taxi.pipelines.trips.download import download
from nyc_taxi.pipelines.trips.load import load
from nyc_taxi.pipelines.trips.refine import refine, stored_month
from nyc_taxi.settings import load_settings
from tests.support.kill_points import KillPoint

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(
    [
        __name__,
        "nyc_taxi.load.postgres.load",
        "nyc_taxi.load.object_store.gcs",
        "nyc_taxi.lake.object_store.gcs.store",
        *("psycopg2", "google.cloud.storage", "pyarrow.parquet", "duckdb"),
    ]
)

Plain = dict[str, Any]


@dataclass(frozen=True)
class Result:
    """How a task ended."""

    value: Any = None
    error: str | None = None
    is_transient: bool = False
    was_killed: bool = False


def run(task: str, values: Plain, environment: dict[str, str], kill: str | None = None) -> Result:
    """Run a task in a new process with this environment."""
    receiving, sending = _FORKS.Pipe(duplex=False)
    process = _FORKS.Process(target=_work, args=(sending, task, json.dumps(values), environment, kill))
    process.start()
    sending.close()
    try:
        result: Result = receiving.recv()
    except EOFError:
        result = Result(was_killed=True, error="killed", is_transient=True)
    process.join()
    return result


def _work(results: Connection, task: str, values: str, environment: dict[str, str], kill: str | None) -> None:
    os.environ.clear()
    os.environ.update(environment)
    stamina.instrumentation.set_on_retry_hooks([])
    if kill:
        KillPoint.parse(kill).kill_here()
    try:
        value = _TASKS[task](**json.loads(values))
        results.send(Result(json.loads(json.dumps(value))))
    except TaxiError as error:
        results.send(Result(error=str(error), is_transient=isinstance(error, Transient)))
    except Exception as error:
        results.send(Result(error=f"{type(error).__name__}: {error}"))


def _download(month: str, source: str) -> Plain:
    return download(Service.GREEN, Month.parse(month), source, load_settings()).to_dict()


def _refine(file: Plain) -> Plain:
    return refine(SourceFile.from_dict(file), load_settings()).to_dict()


def _load(files: Plain, destination: str) -> Plain:
    settings = load_settings()
    month = stored_month(MonthFiles.from_dict(files), settings)
    loaded = load(month, destination, RunContext(settings, Run(f"scale-{os.getpid()}", "airflow")))
    return {"version": loaded.entry.version, "rows": loaded.entry.rows_loaded}


def _check(files: Plain, destinations: list[str]) -> Plain:
    month, settings = MonthFiles.from_dict(files), load_settings()
    versions = {}
    for name in destinations:
        entry = open_destination(name, settings).ledger_entry(month.service, month.month)
        versions[name] = entry.version if entry else None
    return versions


_TASKS: dict[str, Callable[..., Plain]] = {
    "download": _download,
    "refine": _refine,
    "load": _load,
    "check": _check,
}


def reference_month(source: Path, month: str, workspace: Path) -> tuple[str, int, dict[str, str]]:
    """Version, trips and SHA-256 of the files of a month refined on one machine without a shared lake."""
    environment = {**os.environ, "TAXI_WORKSPACE": str(workspace), "TAXI_LAKE": "local"}
    file = run("download", {"month": month, "source": str(source)}, environment)
    assert file.error is None, file.error
    refined = run("refine", {"file": file.value}, environment)
    assert refined.error is None, refined.error
    files = MonthFiles.from_dict(refined.value)
    return files.version, files.trips, {name: known.sha256 for name, known in files.objects.items()}
