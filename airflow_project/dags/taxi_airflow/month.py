"""The steps of one month as tasks, and the group of them that a DAG maps over many months.

Tasks pass each other references (objects of the lake, counts, versions). Each task may run on another worker:
it fetches what it needs, works on its own disk and publishes its result.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import task_group

from nyc_taxi.load.registry import REGISTRY
from taxi_airflow import events
from taxi_airflow.defaults import PARALLEL_MONTHS
from taxi_airflow.load_requests import run_context
from taxi_airflow.step import step

if TYPE_CHECKING:
    from nyc_taxi.pipelines.trips.load import Loaded

log = logging.getLogger(__name__)

# A step of a month fills a core and some memory. The label is that of a month in a mapped group.
_OPTIONS = {
    "max_active_tis_per_dag": PARALLEL_MONTHS,
    "map_index_template": "{{ task.op_kwargs.request.service }} {{ task.op_kwargs.request.month }}",
}


@step(**_OPTIONS)
def download(request: dict[str, Any]) -> dict[str, Any]:
    """The month's file as published, verified, in the lake; not fetched again if the lake holds it."""
    from nyc_taxi.model.request import LoadRequest
    from nyc_taxi.pipelines.trips.download import download as download_month
    from nyc_taxi.settings import load_settings
    from taxi_airflow.inbox import local_source

    load_request = LoadRequest.from_dict(request)
    source = local_source(load_request.source)
    url = load_request.source if source != load_request.source else ""
    file = download_month(load_request.service, load_request.month, source, load_settings(), url=url)
    return file.to_dict()


@step(**_OPTIONS)
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
        review=lambda month: review(month, destinations, context, accept=accept, unread={}),
    )
    return files.to_dict()


@step(**_OPTIONS)
def load(
    request: dict[str, Any], files: dict[str, Any], destinations: list[str] | None = None
) -> list[dict[str, Any]]:
    """The month in the destinations, by default all of the request's, complete and recorded."""
    from nyc_taxi.model.references import MonthFiles
    from nyc_taxi.pipelines.plausibility import review
    from nyc_taxi.pipelines.requests import limit
    from nyc_taxi.pipelines.trips.load import load as load_month
    from nyc_taxi.pipelines.trips.load import load_side_by_side
    from nyc_taxi.pipelines.trips.refine import stored_month

    reference = MonthFiles.from_dict(files)
    context = limit(run_context(), request["destinations"])
    refined = stored_month(reference, context.settings)

    def load_one(name: str) -> Loaded:
        own = review(reference, [name], context, accept=request["accept"])
        return load_month(refined, name, own)

    loaded = load_side_by_side(destinations or request["destinations"], load_one)
    return [{"destination": each.destination, "where": each.describe, **_counts(each)} for each in loaded]


def _counts(loaded: Loaded) -> dict[str, Any]:
    return {
        "version": loaded.entry.version,
        "rows_in": loaded.entry.rows_in,
        "rows_loaded": loaded.entry.rows_loaded,
        "rows_quarantined": loaded.entry.rows_quarantined,
        "already_there": loaded.skipped,
    }


@step()
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
    events.tell(
        "month",
        service=month.service,
        month=month.month,
        version=month.version,
        rows=month.rows_in,
        quarantined=month.quarantined,
    )
    return summary


@step(**_OPTIONS)
def report(request: dict[str, Any], files: dict[str, Any]) -> str:
    """The page of `taxi report` on the month; its address ends the log."""
    from nyc_taxi.model.references import MonthFiles
    from nyc_taxi.reporting.report import page
    from nyc_taxi.settings import load_settings

    address = page.publish(MonthFiles.from_dict(files), load_settings())
    log.info("Report on %s %s: %s", request["service"], request["month"], address)
    return address


load_each = load.override(
    max_active_tis_per_dag=max(PARALLEL_MONTHS, len(REGISTRY)),  # all destinations of one month at once
    map_index_template="{{ task.op_kwargs.destinations | join(', ') }}",
)
"""`load`, to be mapped over groups of destinations."""


@task_group
def month(request: dict[str, Any]) -> None:
    """Download, refine, load into all destinations, check, report."""
    files = refine(request=request, source=download(request=request))
    # one task: a group that is mapped cannot hold a mapped task
    checked = check(request=request, files=files)
    load(request=request, files=files) >> checked >> report(request=request, files=files)
