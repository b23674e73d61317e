"""A day of the bike-share: extract stations and regions, wait for the trips, load the warehouse's tables."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import Param, TriggerRule, dag, get_current_context, task
from airflow.providers.google.cloud.operators.cloud_sql import CloudSQLExportInstanceOperator
from airflow.timetables.trigger import CronTriggerTimetable

from taxi_airflow import events, load_requests
from taxi_airflow.defaults import common
from taxi_airflow.environment import configure_environment
from taxi_airflow.step import step

if TYPE_CHECKING:
    from nyc_taxi.pipelines.bikeshare.config import BikeshareConfig

PATIENCE = dt.timedelta(days=1)
"""How long to wait for a day's trips before the run fails and alerts."""


@dag(
    schedule=CronTriggerTimetable("0 9 * * *", timezone="UTC"),
    description="Each day load the day before: Cloud SQL and a bucket to the warehouse",
    doc_md="""
### A day of the bike-share

Extracts the stations from the application's database and the regions from the bucket, lands both in the
bucket under their day, waits for the day's trips, loads the raw tables and computes `dim_stations`,
`fact_trips_daily` and `top_stations_daily`: only that day's partitions, all or nothing.

| Param | Meaning |
|---|---|
| `day` | such as 2018-01-01; empty: the day before the run's date |

- With `TAXI_BIKESHARE_EXTRACT=export` Cloud SQL itself writes the tables into the bucket (`export`); set
  `CLOUD_SQL_INSTANCE`, and `CLOUD_SQL_PROJECT` where it is another than the connection's. Otherwise
  `extract` reads them row by row, and `export` is skipped.
- `trips_are_there` frees its worker between two checks. If the trips do not arrive within a day it fails and
  alerts; clear it when they have arrived.
""",
    params={
        "day": Param(
            None,
            type=["null", "string"],
            format="date",
            title="Day",
            description="Such as 2018-01-01. Empty: the day before the run's date.",
        )
    },
    max_active_runs=8,  # a day that is waited for does not hold up the others
    **common("bikeshare"),
)
def bikeshare() -> None:
    @step()
    def day(params: dict[str, Any]) -> str:
        """The day that is loaded."""
        return str(params["day"] or load_requests.day_of(get_current_context()) - dt.timedelta(days=1))

    @step()
    def extract(day: str) -> list[dict[str, Any]]:
        """The tables as they are now, in the workspace; those that Cloud SQL exports are left out."""
        from nyc_taxi.pipelines.bikeshare import flow

        with events.call("mysql") as counts:
            snapshots = flow.extract(_config(), flow.parse_day(day))
            counts |= {snapshot.table: snapshot.rows for snapshot in snapshots}
        return [snapshot.to_dict() for snapshot in snapshots]

    @step()
    def land(snapshots: list[dict[str, Any]]) -> list[str]:
        """The extracted tables in the bucket, under their day."""
        from nyc_taxi.pipelines.bikeshare import flow

        with events.call("gcs", objects=len(snapshots)):
            return flow.land(_config(), [flow.Snapshot.from_dict(snapshot) for snapshot in snapshots])

    @step()
    def exports(day: str) -> list[dict[str, Any]]:
        """What Cloud SQL is asked to export; nothing where the tables are read row by row."""
        from taxi_airflow.cloud_sql import exports_of

        return exports_of(day)

    @task.sensor(mode="reschedule", poke_interval=300, timeout=PATIENCE.total_seconds(), retries=0)
    def trips_are_there(day: str) -> bool:
        """Whether the day's trips are in the bucket."""
        from nyc_taxi.errors import NotPublished
        from nyc_taxi.pipelines.bikeshare import flow

        configure_environment()
        try:
            return bool(flow.wait_for_day(_config(), flow.parse_day(day)))
        except NotPublished:
            return False

    @step(trigger_rule=TriggerRule.NONE_FAILED)
    def load(day: str) -> list[dict[str, Any]]:
        """The day's partitions of the raw tables, equal to what the bucket holds."""
        from nyc_taxi.pipelines.bikeshare import flow

        with events.call("warehouse"):
            return _plain(flow.load(_config(), flow.parse_day(day), load_requests.run_context().run))

    @step()
    def transform(day: str) -> list[dict[str, Any]]:
        """dim_stations, fact_trips_daily and top_stations_daily of the day, by SQL in the warehouse."""
        from nyc_taxi.pipelines.bikeshare import flow

        with events.call("warehouse"):
            return _plain(flow.transform(_config(), flow.parse_day(day), load_requests.run_context().run))

    chosen = day()
    export = CloudSQLExportInstanceOperator.partial(task_id="export").expand_kwargs(exports(chosen))
    extracted, arrived, loaded = extract(chosen), trips_are_there(chosen), load(chosen)
    extracted >> arrived  # a database that cannot be read fails the run at once, not after a day of waiting
    [land(extracted), export, arrived] >> loaded >> transform(chosen)


def _config() -> BikeshareConfig:
    from nyc_taxi.pipelines.bikeshare.config import BikeshareConfig
    from nyc_taxi.settings import load_settings

    return BikeshareConfig.from_settings(load_settings())


def _plain(entries: list[Any]) -> list[dict[str, Any]]:
    return [
        {"table": entry.table_name, "rows": entry.row_count, "version": entry.version} for entry in entries
    ]


bikeshare()
