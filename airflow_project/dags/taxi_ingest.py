"""One month of one service: download, refine, then a mapped task for the requested destinations."""

from __future__ import annotations

from typing import Any

from airflow.providers.common.compat.sdk import Param, dag

from nyc_taxi.model.months import Month, Service
from taxi_airflow import load_requests, month, run_params
from taxi_airflow.defaults import common
from taxi_airflow.step import step


@dag(
    schedule=None,
    is_paused_upon_creation=False,  # nothing starts it but somebody who wants it
    description="Load one month of trips: started by hand, by taxi_late_data, by the REST API",
    doc_md="""
### One month of trips

Downloads a month, decides for every row whether it is a trip or goes to the quarantine, writes Parquet and
loads it into every destination atomically, with an entry in the destination's ledger. Completed steps are
skipped, so a run may be repeated at any time.

| Param | Meaning |
|---|---|
| `service` | yellow, green, fhv or fhvhv |
| `month` | such as 2020-04; empty: the newest that is published at the run's date |
| `source` | auto, tlc, csv, sample, a folder, a file, a URL, gs://bucket/file; empty: `TAXI_SOURCE` |
| `destinations` | such as `gcs,bigquery`; empty: `TAXI_DESTINATIONS` |
| `accept` | load the month even if it looks like a wrong or truncated file |

`load` is mapped over the requested destinations; those that depend on each other (BigQuery loads from the
bucket) share a task. `check` compares every ledger with the Parquet. `report` writes the page of
`taxi report`, and its log says where. The last log line of a failed task says what to do; clear the task to
continue from there.
""",
    params={
        "service": Param("green", type="string", enum=[str(service) for service in Service], title="Service"),
        "month": run_params.MONTH,
        "source": run_params.SOURCE,
        "destinations": run_params.DESTINATIONS,
        "accept": run_params.ACCEPT,
    },
    **common("ingest"),
)
def taxi_ingest() -> None:
    @step()
    def request(params: dict[str, Any]) -> dict[str, Any]:
        """The params with their defaults filled in."""
        named = Month.parse(params["month"]) if params["month"] else None
        return load_requests.for_month(Service.parse(params["service"]), named, params)

    @step()
    def destinations(params: dict[str, Any]) -> list[list[str]]:
        """The requested destinations, in groups that do not depend on each other."""
        return load_requests.independent_destinations(params)

    chosen = request()
    files = month.refine(request=chosen, source=month.download(request=chosen))
    loads = month.load_each.partial(request=chosen, files=files).expand(destinations=destinations())
    loads >> month.check(request=chosen, files=files) >> month.report(request=chosen, files=files)


taxi_ingest()
