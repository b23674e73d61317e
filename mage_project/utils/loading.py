"""What the exporters of trips share: which block loads which destination, how, and the check afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from mage_project.utils.references import input_reference
from mage_project.utils.steps import step
from mage_project.utils.variables import log_context, run_context
from nyc_taxi.load.registry import REGISTRY, open_destination
from nyc_taxi.model.references import MonthFiles
from nyc_taxi.pipelines.plausibility import review
from nyc_taxi.pipelines.requests import accepts, destinations, limit
from nyc_taxi.pipelines.trips.load import Loaded, load_all
from nyc_taxi.pipelines.trips.refine import fetch_month
from nyc_taxi.reporting import preview
from nyc_taxi.settings import Settings, load_settings
from nyc_taxi.transform.refined import RefinedMonth

EXPORTERS = {
    "trips_to_postgres": ("postgres",),
    "trips_to_gcs": ("gcs",),
    "trips_to_warehouse": ("bigquery", "duckdb"),
}
"""Blocks that load particular destinations; `trips_to_other_destinations` loads all others."""


def destinations_of(block: str) -> list[str]:
    """The destinations that an exporter loads where they are requested."""
    if block in EXPORTERS:
        return list(EXPORTERS[block])
    assigned = {name for names in EXPORTERS.values() for name in names}
    return [name for name in REGISTRY if name not in assigned]


def month_files(reference: Mapping[str, Any]) -> MonthFiles:
    """The month of a reference, with its files on this machine."""
    return fetch_month(MonthFiles.from_dict(reference), load_settings())


def load_month(block: str, data: pd.DataFrame, variables: Mapping[str, Any]) -> pd.DataFrame:
    """Load the month that `trips_to_parquet` wrote into the requested destinations of a block.

    A destination that another one depends on is loaded first, which does nothing if it holds the month.

    Returns a random sample of the trips, or why each of the block's destinations is skipped. The reference
    has `files` (MonthFiles) and `loaded`: for each destination its `ledger` entry, `describe`, `skipped`
    (it held the version) and `seconds`.
    """
    files = month_files(input_reference(data))
    context = run_context(variables)
    requested = destinations(variables, context.settings)
    context = limit(context, requested)
    selected = [name for name in requested if name in destinations_of(block)]
    title = "Load into " + ", ".join(REGISTRY[name].title for name in selected or destinations_of(block))
    reference: dict[str, Any] = {"files": files.to_dict(), "loaded": {}}
    with step(block, log_context(variables, files.to_dict()), title) as current:
        if not selected:
            skipped = _skipped(destinations_of(block), context.settings)
            for name, why in zip(skipped["destination"], skipped["why"], strict=True):
                current.log(f"{name}: skipped; {why}")
            return current.output(skipped, reference)
        names = _with_prerequisites(selected, requested)
        results = load_all(
            RefinedMonth.of(files),
            names,
            review(files, names, context, accept=accepts(variables)),
            lambda _destination: current.progress,
        )
        reference["loaded"] = {
            result.destination: _as_plain(result) for result in results if result.destination in selected
        }
        return current.output(preview.trips(files), reference)


def assert_recorded(reference: Mapping[str, Any]) -> None:
    """Assert that each ledger names this version of the month, with as many rows as the Parquet files."""
    files = MonthFiles.from_dict(reference["files"])
    for name in reference["loaded"]:
        entry = open_destination(name, load_settings()).ledger_entry(files.service, files.month)
        assert entry is not None, f"{name} has no ledger entry for {files.service} {files.month}."
        assert entry.version == files.version, (
            f"the ledger of {name} names version {entry.version}, the Parquet files are version"
            f" {files.version}."
        )
        assert (entry.rows_loaded, entry.rows_quarantined) == (files.trips, files.rows_quarantined), (
            f"the ledger of {name} counts {entry.rows_loaded} trips and {entry.rows_quarantined} quarantined"
            f" rows, the Parquet files hold {files.trips} and {files.rows_quarantined}."
        )


def _skipped(names: list[str], settings: Settings) -> pd.DataFrame:
    """Why destinations are not loaded, as a table."""
    rows = [
        {
            "destination": REGISTRY[name].title,
            "status": "skipped",
            "why": "the variable destinations does not include it"
            if REGISTRY[name].is_automatic(settings.connections)
            else "it is not configured",
        }
        for name in names
    ]
    return pd.DataFrame(rows)


def _with_prerequisites(selected: list[str], requested: list[str]) -> list[str]:
    needed = set(selected)
    while missing := {name for each in needed for name in REGISTRY[each].loads_after} & {*requested} - needed:
        needed |= missing
    return [name for name in requested if name in needed]


def _as_plain(result: Loaded) -> dict[str, Any]:
    return {
        "ledger": {name: str(value) for name, value in vars(result.entry).items()},
        "describe": result.describe,
        "skipped": result.skipped,
        "seconds": result.seconds,
    }
