"""What the exporters have in common: a month into one destination, and what to check afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mage_project.utils.steps import step
from mage_project.utils.variables import context_of, destinations_of, run_of
from nyc_taxi.load.registry import open_destination
from nyc_taxi.model.references import MonthFiles
from nyc_taxi.pipelines import trips
from nyc_taxi.reporting import preview


def load_month(block: str, names: set[str], data: list[Any], variables: Mapping[str, Any]) -> list[Any]:
    """Load the month of `trips_to_parquet`'s outputs into the one of `names` that the run is for.

    Without one nothing is loaded. Outputs: the first trips; a reference to the files (MonthFiles) and to
    what was loaded: `destination` (None when none was), `ledger`, `describe`, `skipped`, `seconds`.
    """
    files = MonthFiles.from_dict(data[1])
    wanted = destinations_of(variables)
    destination = next((name for name in wanted if name in names), None)
    facts: dict[str, Any] = {"files": files.to_dict(), "destination": destination}
    with step(block, context_of(variables, data[1])) as current:
        if destination is None:
            current.say(f"{block}: not among the destinations of this run: {', '.join(wanted)}.")
            return current.outputs(preview.trips(files, 0), facts)
        loaded = trips.load(files, destination, run_of(variables), progress=current.progress)
        ledger = {name: str(value) for name, value in vars(loaded.entry).items()}
        facts |= {"ledger": ledger, "describe": loaded.describe}
        facts |= {"skipped": loaded.skipped, "seconds": loaded.seconds}
        return current.outputs(preview.trips(files), facts)


def assert_recorded(reference: Mapping[str, Any]) -> None:
    """The destination's ledger names this version of the month, with the rows that the Parquet has."""
    if reference["destination"] is None:
        return
    files = MonthFiles.from_dict(reference["files"])
    row = open_destination(reference["destination"]).ledger_entry(files.service, files.month)
    assert row is not None, f"{reference['destination']} has no record of {files.service} {files.month}."
    assert row.version == files.version, (
        f"the ledger says version {row.version}, the Parquet is version {files.version}."
    )
    assert (row.rows_loaded, row.rows_quarantined) == (files.trips, files.rows_quarantined), (
        f"the ledger says {row.rows_loaded} trips and {row.rows_quarantined} quarantined rows, the Parquet "
        f"holds {files.trips} and {files.rows_quarantined}."
    )
