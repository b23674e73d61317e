"""The steps of one month as tasks: a group that a DAG takes once, or maps over many months.

Between tasks travel references (paths, counts, versions); rows stay in the workspace, the only thing
that the workers share.
"""

from __future__ import annotations

from typing import Any

from airflow.providers.common.compat.sdk import (
    AirflowSkipException,
    TriggerRule,
    task_group,
)

from taxi_airflow import events
from taxi_airflow.defaults import PARALLEL_MONTHS
from taxi_airflow.requests import Asked, run
from taxi_airflow.step import step

# A step of a month fills a core and some memory.
_LIMIT = {"max_active_tis_per_dag": PARALLEL_MONTHS}


@step(**_LIMIT)
def download(asked: Asked) -> dict[str, Any]:
    """The month's file as published, verified, in the workspace; an unchanged file is not fetched again."""
    from nyc_taxi.model.months import Month, Service
    from nyc_taxi.pipelines import trips
    from taxi_airflow.inbox import local_source

    with events.call("source", source=asked["source"]) as said:
        source = local_source(asked["source"])
        file = trips.download(Service.parse(asked["service"]), Month.parse(asked["month"]), source)
        said |= {"url": file.url, "bytes": file.size}
    return file.to_dict()


@step(**_LIMIT)
def clean(source: dict[str, Any]) -> dict[str, Any]:
    """Every row by column name, in the canonical types, with its verdict: trip or quarantine."""
    from nyc_taxi.model.references import SourceFile
    from nyc_taxi.pipelines import trips

    return trips.clean(SourceFile.from_dict(source)).to_dict()


@step(**_LIMIT)
def to_parquet(cleaned: dict[str, Any]) -> dict[str, Any]:
    """The month as Parquet: trips, quarantine and quality, with a manifest written last."""
    import shutil

    from nyc_taxi.model.references import CleanMonth
    from nyc_taxi.pipelines import trips

    month = CleanMonth.from_dict(cleaned)
    files = trips.to_parquet(month)
    shutil.rmtree(month.folder, ignore_errors=True)  # scratch: all of it is in the Parquet files now
    return files.to_dict()


def _load(name: str, asked: Asked, files: dict[str, Any]) -> dict[str, Any]:
    from nyc_taxi.model.references import MonthFiles
    from nyc_taxi.pipelines import trips

    if name not in asked["destinations"].split(","):
        raise AirflowSkipException(
            f"{name} is not among the destinations asked for: {asked['destinations']}."
        )
    with events.call(name, service=asked["service"], month=asked["month"]) as said:
        loaded = trips.load(MonthFiles.from_dict(files), name, run())
        row = loaded.entry
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
    """The task that has the month in a destination, complete and in its ledger; skipped if not asked for."""

    @step(task_id=f"to_{name}", trigger_rule=TriggerRule.NONE_FAILED, **_LIMIT)
    def load(asked: Asked, files: dict[str, Any]) -> dict[str, Any]:
        return _load(name, asked, files)

    return load


@step(trigger_rule=TriggerRule.NONE_FAILED)
def check(asked: Asked, files: dict[str, Any]) -> dict[str, Any]:
    """What the ledgers now say is what the Parquet holds, in every destination; the run's summary."""
    from nyc_taxi.errors import DestinationError
    from nyc_taxi.load.registry import open_destination
    from nyc_taxi.model.references import MonthFiles

    month = MonthFiles.from_dict(files)
    expected = (month.version, month.rows_in, month.trips, month.rows_quarantined)
    for name in asked["destinations"].split(","):
        row = open_destination(name).ledger_entry(month.service, month.month)
        found = row and (row.version, row.rows_in, row.rows_loaded, row.rows_quarantined)
        if found != expected:
            raise DestinationError(
                f"{name} has recorded {found} (version, rows in, trips, quarantined) of {month.service}"
                f" {month.month}, but the Parquet holds {expected}: another run may have loaded another"
                " version meanwhile; run the month again."
            )
    summary = {
        **asked,
        "version": month.version,
        "rows_in": month.rows_in,
        "trips": month.trips,
        "quarantined": month.quarantined,
    }
    events.tell("month", **summary)
    return summary


@task_group
def month(asked: Asked) -> None:
    """Download, clean, Parquet, then all destinations side by side; BigQuery after the bucket."""
    files = to_parquet(clean(download(asked)))
    names = ("gcs", "bigquery", "postgres", "s3", "duckdb")
    loads = {name: load_into(name)(asked, files) for name in names}
    loads["gcs"] >> loads["bigquery"]
    list(loads.values()) >> check(asked, files)
