"""What a run is asked for: a month of a service, from where, into which destinations."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import Param, get_current_context

from nyc_taxi.model.months import Month, Service

if TYPE_CHECKING:
    from nyc_taxi.extract.candidates import Published
    from nyc_taxi.load.contract import Run

Asked = dict[str, str]
"""service, month, source and destinations (separated by commas): the params of taxi_ingest, filled in."""

MONTH = Param(
    None,
    type=["null", "string"],
    pattern=r"^\d{4}-(0[1-9]|1[0-2])$",
    title="Month",
    description="Such as 2020-04. Empty: the newest month TLC should have published at the run's date.",
)
SOURCE = Param(
    None,
    type=["null", "string"],
    title="Source",
    description="auto, tlc, csv, sample, a folder, a file, a URL or gs://bucket/file. Empty: TAXI_SOURCE.",
)
DESTINATIONS = Param(
    None,
    type=["null", "string"],
    title="Destinations",
    description="Names separated by commas: postgres, gcs, s3, bigquery, duckdb. Empty: TAXI_DESTINATIONS.",
)

SERVICES = Param(
    "yellow,green",
    type="string",
    title="Services",
    description="Names separated by commas: yellow, green, fhv, fhvhv.",
)
SINCE = Param(
    None,
    type=["null", "string"],
    pattern=MONTH.schema["pattern"],
    title="Since",
    description="The first month to ask for, such as 2020-01. Empty: half a year back.",
)


def for_month(service: Service, month: Month, params: Mapping[str, Any]) -> Asked:
    """The request for a month; raises SettingsError that names what makes no sense."""
    from nyc_taxi.settings import settings

    return {
        "service": str(service),
        "month": str(month),
        "source": params["source"] or settings().source,
        "destinations": ",".join(destinations(params)),
    }


def destinations(params: Mapping[str, Any]) -> list[str]:
    """The destinations asked for, or those that are configured."""
    from nyc_taxi.load.registry import parse_names
    from nyc_taxi.settings import settings

    return parse_names(params["destinations"] or settings().destinations)


def for_services(month: str, params: Mapping[str, Any]) -> list[Asked]:
    """The request for one month of all services asked for."""
    return [
        for_month(service, Month.parse(month), params)
        for service in Service.parse_several(params["services"])
    ]


def due(params: Mapping[str, Any], day: dt.date) -> list[dict[str, Any]]:
    """Runs of taxi_ingest (`trigger_run_id` and `conf`) for the months that are due on a day."""
    from nyc_taxi.pipelines.pending import due_months, months_to_look_at
    from taxi_airflow import events

    first, last = months_to_look_at(day, Month.parse(params["since"]) if params["since"] else None)
    services = Service.parse_several(params["services"])
    plain = for_month(services[0], first, params)
    runs = []
    for found in due_months(services, first, last, plain["source"], plain["destinations"].split(",")):
        events.tell("due", service=found.service, month=found.month, why=found.why)
        conf = {**plain, "service": str(found.service), "month": str(found.month)}
        runs.append({"trigger_run_id": run_id(found.service, found.month, found.published), "conf": conf})
    return runs


def day_of(context: Mapping[str, Any]) -> dt.date:
    """The run's date: of its logical date, or of the moment it was due when it has none (Airflow 3)."""
    run = context["dag_run"]
    moment: dt.datetime = run.logical_date or run.run_after
    return moment.date()


def run() -> Run:
    """Who loads, for the ledgers."""
    from nyc_taxi.load.contract import Run

    return Run(get_current_context()["dag_run"].run_id, "airflow")


def backfilled(context: Mapping[str, Any]) -> str | None:
    """The month of a backfill's run: that of its logical date; None in other runs."""
    run = context["dag_run"]
    is_backfill = str(getattr(run.run_type, "value", run.run_type)) == "backfill"
    return str(Month.of(run.logical_date)) if is_backfill else None


def run_id(service: Service, month: Month, published: Published) -> str:
    """The run that loads one version of a month: the same id from whoever asks, so it runs once."""
    version = "|".join(str(part) for part in (published.url, published.etag, published.last_modified))
    return f"taxi__{service}__{month}__{hashlib.sha256(version.encode()).hexdigest()[:10]}"


def has_ended(context: Mapping[str, Any], dag_id: str, run_id: str) -> bool:
    """Whether a run with this id exists and is over, well or not."""
    count = getattr(context["ti"], "get_dr_count", None)
    if count is not None:
        return bool(count(dag_id=dag_id, run_ids=[run_id], states=["success", "failed"]))
    from airflow.models import DagRun  # Airflow 2, whose tasks may read the database

    return any(run.state in ("success", "failed") for run in DagRun.find(dag_id=dag_id, run_id=run_id))
