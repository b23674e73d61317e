"""Every month: load every pending month, one mapped task group per month."""

from __future__ import annotations

from typing import Any

from airflow.providers.common.compat.sdk import dag, get_current_context
from airflow.timetables.trigger import CronTriggerTimetable

from taxi_airflow import load_requests, run_params
from taxi_airflow.defaults import common
from taxi_airflow.month import month
from taxi_airflow.step import step


@dag(
    # explicit: a bare cron string means different data intervals on Airflow 2 and 3
    schedule=CronTriggerTimetable("0 7 2 * *", timezone="UTC"),
    description="On the 2nd of each month, load every month that is published but not yet loaded",
    doc_md="""
### The monthly load

TLC publishes about two months late and republishes at times. So this run does not load "last month" but
every pending month since `since`: published, but missing in a destination or held there in another version.
It loads them in parallel, each in a mapped task group.

A missed run needs no catch-up: the next run finds the same months.

- One month by hand: set `month`.
- A range: `airflow backfill create --dag-id taxi_monthly --from-date 2020-03-01 --to-date 2020-08-31`;
  each run of a backfill loads the month of its own date.
""",
    params={
        "services": run_params.SERVICES,
        "month": run_params.MONTH,
        "since": run_params.SINCE,
        "source": run_params.SOURCE,
        "destinations": run_params.DESTINATIONS,
    },
    **common("schedule"),
)
def taxi_monthly() -> None:
    @step()
    def months(params: dict[str, Any]) -> list[dict[str, Any]]:
        """The months to load: the requested one, the backfill's, or all that are pending."""
        context = get_current_context()
        named = params["month"] or load_requests.backfilled(context)
        if named:
            return load_requests.for_services(named, params)
        pending = load_requests.pending(params, load_requests.day_of(context))
        return [request.to_dict() for request, _ in pending]

    month.expand(request=months())


taxi_monthly()
