"""Load requests from the params of a DAG run."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import get_current_context

from nyc_taxi.model.months import Month, Service

if TYPE_CHECKING:
    from nyc_taxi.model.request import LoadRequest
    from nyc_taxi.model.run import Run, RunContext
    from nyc_taxi.pipelines.pending import PendingMonth


def for_month(service: Service, month: Month | None, params: Mapping[str, Any]) -> dict[str, Any]:
    """The load request for a month, as plain values; without a month the newest one at the run's date.

    Raises SettingsError that names a param at fault.
    """
    from nyc_taxi.pipelines.requests import make_request
    from nyc_taxi.settings import load_settings

    values = {**params, "service": service, "month": month}
    return make_request(values, load_settings(), day_of(get_current_context())).to_dict()


def for_services(month: str, params: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The load requests for one month of all services in the params."""
    services = Service.parse_several(params["services"])
    return [for_month(service, Month.parse(month), params) for service in services]


def independent_destinations(params: Mapping[str, Any]) -> list[list[str]]:
    """The destinations in the params, in groups that may be loaded in any order."""
    from nyc_taxi.load.registry import independent_groups
    from nyc_taxi.pipelines.requests import destinations
    from nyc_taxi.settings import load_settings

    return independent_groups(destinations(params, load_settings()))


def pending(params: Mapping[str, Any], day: dt.date) -> list[tuple[LoadRequest, PendingMonth]]:
    """A load request for each month that is pending on a day, and why it is."""
    from nyc_taxi.pipelines.pending import months_to_check, pending_months
    from nyc_taxi.pipelines.requests import make_request
    from nyc_taxi.settings import load_settings
    from taxi_airflow import events

    settings = load_settings()
    first, last = months_to_check(day, Month.parse(params["since"]) if params["since"] else None)
    services = Service.parse_several(params["services"])
    default = make_request({**params, "service": services[0], "month": first}, settings)
    requests = []
    for month in pending_months(services, first, last, default.source, default.destinations, settings):
        events.tell("pending", service=month.service, month=month.month, reason=month.why)
        requests.append((dataclasses.replace(default, service=month.service, month=month.month), month))
    return requests


def day_of(context: Mapping[str, Any]) -> dt.date:
    """The run's date: of its logical date, or of the moment it was due when it has none (Airflow 3)."""
    run = context["dag_run"]
    moment: dt.datetime = run.logical_date or run.run_after
    return moment.date()


def run() -> Run:
    """The run for the ledgers and events."""
    from nyc_taxi.model.run import Run

    return Run(get_current_context()["dag_run"].run_id, "airflow")


def run_context() -> RunContext:
    """Settings, and the run."""
    from nyc_taxi.model.run import RunContext
    from nyc_taxi.settings import load_settings

    return RunContext(load_settings(), run())


def backfilled(context: Mapping[str, Any]) -> str | None:
    """The month of a backfill's run: that of its logical date; None in other runs."""
    run = context["dag_run"]
    is_backfill = str(getattr(run.run_type, "value", run.run_type)) == "backfill"
    return str(Month.of(run.logical_date)) if is_backfill else None


def run_id(pending: PendingMonth) -> str:
    """The id of the run for a published version of a month: the same for every requester, so it runs once."""
    published = pending.published
    version = "|".join(str(part) for part in (published.url, published.etag, published.last_modified))
    digest = hashlib.sha256(version.encode()).hexdigest()[:10]
    return f"taxi__{pending.service}__{pending.month}__{digest}"


def has_ended(context: Mapping[str, Any], dag_id: str, run_id: str) -> bool:
    """Whether a run with this id has succeeded or failed."""
    count = getattr(context["ti"], "get_dr_count", None)
    if count is not None:
        return bool(count(dag_id=dag_id, run_ids=[run_id], states=["success", "failed"]))
    from airflow.models import DagRun  # Airflow 2, whose tasks may read the database

    return any(run.state in ("success", "failed") for run in DagRun.find(dag_id=dag_id, run_id=run_id))
