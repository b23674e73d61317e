"""The taxi zones into every destination: what the location numbers of trips mean."""

from __future__ import annotations

from typing import Any

from airflow.providers.common.compat.sdk import dag
from airflow.timetables.trigger import CronTriggerTimetable

from taxi_airflow import events, run_params
from taxi_airflow.defaults import common
from taxi_airflow.step import step


@dag(
    schedule=CronTriggerTimetable("0 6 3 * *", timezone="UTC"),
    description="On the 3rd of each month, load TLC's list of zones into every destination",
    doc_md="""
### Taxi zones

Trips refer to pickup and dropoff zones by number; this list has the borough and zone of each number. TLC
rarely changes it. The load replaces the whole table, so the run may be repeated at any time.

| Param | Meaning |
|---|---|
| `source` | a URL, a file, or `lake`; empty: `TAXI_ZONES_URL` |
| `destinations` | such as `gcs,bigquery`; empty: `TAXI_DESTINATIONS` |
""",
    params={
        "source": run_params.optional("Source", "A URL or a file. Empty: TAXI_ZONES_URL."),
        "destinations": run_params.DESTINATIONS,
    },
    **common("zones"),
)
def zone_lookup() -> None:
    @step()
    def destinations(params: dict[str, Any]) -> list[str]:
        """Their names."""
        from nyc_taxi.pipelines import requests
        from nyc_taxi.settings import load_settings

        return requests.destinations(params, load_settings())

    @step()
    def download(params: dict[str, Any]) -> dict[str, Any]:
        """The list as published, in the lake."""
        from nyc_taxi.pipelines import zones
        from nyc_taxi.settings import load_settings

        settings = load_settings()
        with events.step("zones"):
            return zones.fetch_zones(settings, params["source"] or "").to_dict()

    @step(map_index_template="{{ task.op_kwargs.destination }}")
    def load(destination: str, file: dict[str, Any]) -> int:
        """The list in one destination; returns how many zones it has."""
        from nyc_taxi.lake.lookups import LookupFile
        from nyc_taxi.pipelines import zones
        from nyc_taxi.settings import load_settings

        settings = load_settings()
        lookup = zones.stored_zones(LookupFile.from_dict(file), settings)
        with events.step("zones", destination=destination):
            zones.load_zones(lookup, [destination], settings)
        return len(lookup.rows)

    load.partial(file=download()).expand(destination=destinations())


zone_lookup()
