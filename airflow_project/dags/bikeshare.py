"""A day of the bike-share: extract stations and regions, wait for the trips, load the warehouse's tables."""

from __future__ import annotations

import datetime as dt
from typing import Any

from airflow.providers.common.compat.sdk import TriggerRule, dag, get_current_context, task
from airflow.providers.google.cloud.operators.cloud_sql import CloudSQLExportInstanceOperator
from airflow.timetables.trigger import CronTriggerTimetable

from taxi_airflow import cloud_sql, events, load_requests, run_params
from taxi_airflow.defaults import common
from taxi_airflow.environment import configure_environment
from taxi_airflow.step import step

PATIENCE = dt.timedelta(days=1)
"""How long to wait for a day's trips before the run fails and alerts."""


@step()
def day(params: dict[str, Any]) -> str:
    """The day that is loaded."""
    return str(params["day"] or load_requests.day_of(get_current_context()) - dt.timedelta(days=1))


@step()
def extract(day: str) -> list[str]:
    """Copy the tables, except those that Cloud SQL exports, into the bucket under their day."""
    from nyc_taxi.pipelines.bikeshare import flow

    config = flow.load_config()
    with events.step("bikeshare extract"):
        snapshots = flow.extract(config, flow.parse_day(day))
    with events.step("bikeshare land"):
        return flow.land(config, snapshots)


@task.sensor(mode="reschedule", poke_interval=300, timeout=PATIENCE.total_seconds(), retries=0)
def wait_for_trips(day: str) -> bool:
    """Whether the day's trips are in the bucket."""
    from nyc_taxi.errors import NotPublished
    from nyc_taxi.pipelines.bikeshare import flow

    configure_environment()
    try:
        return bool(flow.wait_for_day(flow.load_config(), flow.parse_day(day)))
    except NotPublished:
        return False


@step(trigger_rule=TriggerRule.NONE_FAILED)
def load(day: str) -> list[dict[str, Any]]:
    """The day's partitions of the raw tables, equal to what the bucket holds."""
    from nyc_taxi.pipelines.bikeshare import flow

    with events.step("bikeshare load"):
        entries = flow.load(flow.load_config(), flow.parse_day(day), load_requests.run_context().run)
    return [entry.to_dict() for entry in entries]


@step()
def transform(day: str) -> list[dict[str, Any]]:
    """dim_stations, fact_trips_daily and top_stations_daily of the day, by SQL in the warehouse."""
    from nyc_taxi.pipelines.bikeshare import flow

    with events.step("bikeshare transform"):
        entries = flow.transform(flow.load_config(), flow.parse_day(day), load_requests.run_context().run)
    return [entry.to_dict() for entry in entries]


@dag(
    schedule=CronTriggerTimetable("0 9 * * *", timezone="UTC"),
    description="Every day, load the previous day from Cloud SQL and a bucket into the warehouse",
    doc_md="""
### A day of the bike-share

Extracts the stations from the application's database and the regions from the bucket, lands both in the
bucket under their day, waits for the day's trips, loads the raw tables and computes `dim_stations`,
`fact_trips_daily` and `top_stations_daily`: only that day's partitions, all or nothing.

| Param | Meaning |
|---|---|
| `day` | such as 2018-01-01; empty: the day before the run's date |

- With `TAXI_BIKESHARE_EXTRACT=export` Cloud SQL itself writes the tables into the bucket (`export`); set
  `CLOUD_SQL_INSTANCE`, and `CLOUD_SQL_PROJECT` if it differs from the connection's. Otherwise
  `extract` reads them row by row, and `export` is skipped.
- `wait_for_trips` frees its worker between checks. If the trips do not arrive within a day it fails and
  alerts; clear it when they have arrived.
""",
    params={"day": run_params.optional("Day", "Such as 2018-01-01. Empty: yesterday.", format="date")},
    **common("bikeshare"),
)
def bikeshare() -> None:
    chosen = day()
    export = CloudSQLExportInstanceOperator.partial(task_id="export").expand_kwargs(cloud_sql.exports(chosen))
    arrived, loaded = wait_for_trips(chosen), load(chosen)
    extract(chosen) >> arrived  # a database that cannot be read fails the run at once, not after a day
    [export, arrived] >> loaded >> transform(chosen)


bikeshare()
