"""The taxi zones into every destination: what the location numbers of trips mean."""

from __future__ import annotations

from typing import Any

from airflow.providers.common.compat.sdk import Param, dag
from airflow.timetables.trigger import CronTriggerTimetable

from taxi_airflow import events, load_requests
from taxi_airflow.defaults import common
from taxi_airflow.step import step


@dag(
    schedule=CronTriggerTimetable("0 6 3 * *", timezone="UTC"),
    description="On the 3rd of each month have TLC's list of zones in every destination",
    doc_md="""
### Taxi zones

Trips name their pickup and dropoff by a number; this list says which borough and zone it is. TLC changes it
rarely, and the load replaces it as a whole, so the run may be repeated at any time.

| Param | Meaning |
|---|---|
| `source` | a URL or a file; empty: `TAXI_ZONES_URL` |
| `destinations` | such as `gcs,bigquery`; empty: `TAXI_DESTINATIONS` |
""",
    params={
        "source": Param(None, type=["null", "string"], title="Source", description="A URL or a file."),
        "destinations": load_requests.DESTINATIONS,
    },
    max_active_runs=1,
    **common("zones"),
)
def zone_lookup() -> None:
    @step()
    def fetch(params: dict[str, Any]) -> dict[str, str]:
        """The list as published, in the workspace."""
        from nyc_taxi.pipelines import zones
        from nyc_taxi.settings import load_settings

        settings = load_settings()
        source = params["source"] or settings.zones_url
        with events.call("source", source=source) as facts:
            path, sha256 = zones.fetch_list(settings, source)
            facts["sha256"] = sha256
        return {"path": str(path), "version": sha256[:12]}

    @step()
    def destinations(params: dict[str, Any]) -> list[str]:
        """Their names."""
        from nyc_taxi.pipelines import requests
        from nyc_taxi.settings import load_settings

        return requests.destinations(params, load_settings())

    @step()
    def load(file: dict[str, str], destination: str) -> int:
        """The list in one destination; how many zones it has."""
        from pathlib import Path

        from nyc_taxi.pipelines import zones
        from nyc_taxi.settings import load_settings

        lookup = zones.read_zones(Path(file["path"]), file["version"])
        with events.call(destination, version=file["version"]):
            zones.load_zones(lookup, [destination], load_settings())
        return len(lookup.rows)

    load.partial(file=fetch()).expand(destination=destinations())


zone_lookup()
