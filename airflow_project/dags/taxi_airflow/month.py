"""The steps of one month as tasks: a task group that a DAG uses once or maps over many months.

Tasks pass each other references (objects of the lake, counts, versions). Each task may run on another worker:
it fetches what it needs, works on its own disk and publishes its result.
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
from taxi_airflow.load_requests import run_context
from taxi_airflow.step import step

# A step of a month fills a core and some memory.
_LIMIT = {"max_active_tis_per_dag": PARALLEL_MONTHS}


@step(**_LIMIT)
def download(request: dict[str, Any]) -> dict[str, Any]:
    """The month's file as published, verified, in the lake; not fetched again if the lake holds it."""
    from nyc_taxi.model.request import LoadRequest
    from nyc_taxi.pipelines.trips.download import download as download_month
    from nyc_taxi.settings import load_settings
    from taxi_airflow.inbox import local_source

    load_request = LoadRequest.from_dict(request)
    with events.call("source", source=load_request.source) as facts:
        source = local_source(load_request.source)
        url = load_request.source if source != load_request.source else ""
        file = download_month(load_request.service, load_request.month, source, load_settings(), url=url)
        facts |= {"url": file.url, "bytes": file.size}
    return file.to_dict()


@step(**_LIMIT)
def refine(request: dict[str, Any], source: dict[str, Any]) -> dict[str, Any]:
    """Every row by column name, in the canonical types, with its verdict, as Parquet in the lake.

    Applies the function of mage_project/transformers/derive_trips.py. Refuses a month that looks like a wrong
    or truncated file, unless the param `accept` is set.
    """
    from nyc_taxi.model.references import SourceFile
    from nyc_taxi.pipelines.plausibility import review
    from nyc_taxi.pipelines.trips.refine import refine as refine_month

    context = run_context()
    destinations, accept = request["destinations"], request["accept"]
    files = refine_month(
        SourceFile.from_dict(source),
        context.settings,
        # a destination whose ledger cannot be read is reviewed by its own task
        review=lambda month: review(month, destinations, context, accept=accept, unread=set()),
    )
    return files.to_dict()


def load_into(name: str) -> Any:
    """The task that loads the month into a destination; skipped if the request does not name it."""

    @step(task_id=f"to_{name}", trigger_rule=TriggerRule.NONE_FAILED, **_LIMIT)
    def load(request: dict[str, Any], files: dict[str, Any]) -> dict[str, Any]:
        from nyc_taxi.model.references import MonthFiles
        from nyc_taxi.pipelines.plausibility import review
        from nyc_taxi.pipelines.trips.load import load as load_month
        from nyc_taxi.pipelines.trips.refine import stored_month

        if name not in request["destinations"]:
            raise AirflowSkipException(
                f"{name} is not among the request's destinations: {', '.join(request['destinations'])}."
            )
        with events.call(name, service=request["service"], month=request["month"]) as facts:
            reference = MonthFiles.from_dict(files)
            context = review(reference, [name], run_context(), accept=request["accept"])
            loaded = load_month(stored_month(reference, context.settings), name, context)
            counts = {
                "version": loaded.entry.version,
                "rows_in": loaded.entry.rows_in,
                "rows_loaded": loaded.entry.rows_loaded,
                "rows_quarantined": loaded.entry.rows_quarantined,
                "already_there": loaded.skipped,
            }
            facts |= counts
        return {"destination": name, "where": loaded.describe, **counts}

    return load


@step(trigger_rule=TriggerRule.NONE_FAILED)
def check(request: dict[str, Any], files: dict[str, Any]) -> dict[str, Any]:
    """Compare every destination's ledger with the Parquet; the run's summary."""
    from nyc_taxi.errors import DestinationError
    from nyc_taxi.load.registry import open_destination
    from nyc_taxi.model.references import MonthFiles
    from nyc_taxi.settings import load_settings

    month, settings = MonthFiles.from_dict(files), load_settings()
    expected = (month.version, month.rows_in, month.trips, month.rows_quarantined)
    for name in request["destinations"]:
        entry = open_destination(name, settings).ledger_entry(month.service, month.month)
        recorded = entry and (entry.version, entry.rows_in, entry.rows_loaded, entry.rows_quarantined)
        if recorded != expected:
            raise DestinationError(
                f"{name} has recorded {recorded} (version, rows in, trips, quarantined) of {month.service}"
                f" {month.month}, but the Parquet holds {expected}: another run may have loaded another"
                " version; run the month again."
            )
    summary = {
        **request,
        "version": month.version,
        "rows_in": month.rows_in,
        "trips": month.trips,
        "quarantined": month.quarantined,
    }
    events.tell("month", **summary)
    return summary


@task_group
def month(request: dict[str, Any]) -> None:
    """Download, refine, then all destinations in parallel, in the registry's order."""
    from nyc_taxi.load.registry import REGISTRY

    files = refine(request, download(request))
    loads = {name: load_into(name)(request, files) for name in REGISTRY}
    for name, registration in REGISTRY.items():
        for earlier in registration.loads_after:
            loads[earlier] >> loads[name]
    list(loads.values()) >> check(request, files)
