"""The steps of one month as tasks: a group that a DAG takes once, or maps over many months.

Between tasks travel references (paths, counts, versions); rows stay in the workspace, the only thing
that the workers share.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSkipException,
    TriggerRule,
    get_current_context,
    task,
    task_group,
)

from taxi_airflow import notices
from taxi_airflow.defaults import PARALLEL_MONTHS
from taxi_airflow.requests import Asked
from taxi_airflow.surroundings import set_up

T = TypeVar("T")

# One step of one month fills a core and some memory; loads wait for servers more than they work.
_STEP = {"max_active_tis_per_dag": PARALLEL_MONTHS}


def step(function: Callable[..., T]) -> Callable[..., T]:
    """Set the task up; only what may succeed later is tried again."""

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> T:
        from nyc_taxi.errors import TaxiError, Transient

        try:
            set_up()
            return function(*args, **kwargs)
        except TaxiError as error:
            if isinstance(error, Transient):
                raise
            raise AirflowFailException(str(error)) from error

    return wrapped


@task(**_STEP)
@step
def download(asked: Asked) -> dict[str, Any]:
    """The month's file as published, verified, in the workspace; an unchanged file is not fetched again."""
    from nyc_taxi import flow
    from nyc_taxi.months import Month, Service
    from taxi_airflow.inbox import local_source

    with notices.call("source", source=asked["source"]) as said:
        source = local_source(asked["source"])
        file = flow.download(Service.parse(asked["service"]), Month.parse(asked["month"]), source)
        said |= {"url": file.url, "bytes": file.size}
    return file.to_dict()


@task(**_STEP)
@step
def clean(source: dict[str, Any]) -> dict[str, Any]:
    """Every row by column name, in the canonical types, with its verdict: trip or quarantine."""
    from nyc_taxi import flow
    from nyc_taxi.reference import SourceFile

    return flow.clean(SourceFile.from_dict(source)).to_dict()


@task(**_STEP)
@step
def to_parquet(cleaned: dict[str, Any]) -> dict[str, Any]:
    """The month as Parquet: trips, quarantine and quality, with a manifest written last."""
    import shutil

    from nyc_taxi import flow
    from nyc_taxi.reference import CleanMonth

    month = CleanMonth.from_dict(cleaned)
    files = flow.to_parquet(month)
    shutil.rmtree(month.folder, ignore_errors=True)  # scratch: all of it is in the Parquet files now
    return files.to_dict()


@step
def _load(name: str, asked: Asked, files: dict[str, Any]) -> dict[str, Any]:
    from nyc_taxi import flow
    from nyc_taxi.destinations.base import Run
    from nyc_taxi.reference import MonthFiles

    if name not in asked["destinations"]:
        raise AirflowSkipException(f"{name} is not among the destinations: {', '.join(asked['destinations'])}.")
    run = Run(get_current_context()["dag_run"].run_id, "airflow")
    with notices.call(name, service=asked["service"], month=asked["month"]) as said:
        loaded = flow.load(MonthFiles.from_dict(files), name, run)
        row = loaded.recorded
        facts = {
            "version": row.version,
            "rows_in": row.rows_in,
            "rows_loaded": row.rows_loaded,
            "rows_quarantined": row.rows_quarantined,
            "already_there": loaded.skipped,
        }
        said |= facts
    return {"destination": name, "where": loaded.describe, **facts}


def load_into(name: str) -> Any:
    """The task that has the month in a destination, complete and in its ledger; skipped when not asked for."""

    @task(task_id=f"to_{name}", trigger_rule=TriggerRule.NONE_FAILED, **_STEP)
    def load(asked: Asked, files: dict[str, Any]) -> dict[str, Any]:
        return _load(name, asked, files)

    return load


@task(trigger_rule=TriggerRule.NONE_FAILED)
@step
def check(files: dict[str, Any], loads: list[dict[str, Any] | None]) -> dict[str, Any]:
    """Every row that came in is a trip or in quarantine, in every destination; the run's summary."""
    from nyc_taxi.errors import DestinationError
    from nyc_taxi.reference import MonthFiles

    month = MonthFiles.from_dict(files)
    loaded = [load for load in loads if load]
    for load in loaded:
        found = (load["version"], load["rows_loaded"], load["rows_quarantined"])
        if found != (month.version, month.trips, month.rows_quarantined):
            raise DestinationError(
                f"{load['where']} holds {found} of {month.service} {month.month}, but the Parquet is"
                f" {(month.version, month.trips, month.rows_quarantined)}: run the month again."
            )
    summary = {
        "service": str(month.service),
        "month": str(month.month),
        "version": month.version,
        "rows_in": month.rows_in,
        "trips": month.trips,
        "quarantined": month.quarantined,
        "destinations": [load["destination"] for load in loaded],
    }
    notices.tell("month", **summary)
    return summary


@task_group
def month(asked: Asked) -> None:
    """Download, clean, Parquet, then all destinations side by side; BigQuery after the bucket."""
    files = to_parquet(clean(download(asked)))
    names = ("gcs", "bigquery", "postgres", "s3", "duckdb")
    loads = {name: load_into(name)(asked, files) for name in names}
    loads["gcs"] >> loads["bigquery"]
    check(files, list(loads.values()))
