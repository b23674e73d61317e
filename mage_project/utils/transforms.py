"""The block that applies the user's function, and how previews are held to what is loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from mage_project.utils.references import input_reference
from mage_project.utils.steps import step
from mage_project.utils.variables import log_context
from nyc_taxi.errors import TransformError
from nyc_taxi.model.references import CleanMonth
from nyc_taxi.pipelines.trips.clean import clean, derive, staged
from nyc_taxi.reporting import preview
from nyc_taxi.settings import Settings, load_settings
from nyc_taxi.transform.user.function import changes_nothing, load_function, same_code
from nyc_taxi.transform.user.source import read_transform

BLOCK = Path(__file__).parent.parent / "transformers" / "derive_trips.py"


def derive_month(
    function: Callable[[Any], Any], data: pd.DataFrame, variables: Mapping[str, Any]
) -> pd.DataFrame:
    """Apply the project's transform to the month of `clean_trips`.

    `function` is the one of the block as Mage runs it. Raises TransformError when it is not the one that
    the command line and Airflow apply: it was edited and not saved, or TAXI_TRANSFORM names another file.

    Returns a random sample of what is loaded: quarantined and dropped rows first, then trips.
    """
    reference, settings = input_reference(data), load_settings()
    with step("derive_trips", log_context(variables, reference)) as current:
        _refuse_other_code(function, settings)
        cleaned = staged(CleanMonth.from_dict(reference), settings)
        if not cleaned.is_staged:  # an earlier function's month is loaded already
            cleaned = clean(cleaned.source, settings, current.progress)
        month = derive(cleaned, settings, current.progress)
        counts = f"{month.rows_in:,} rows in = {month.trips:,} trips + {month.rows_quarantined:,} quarantined"
        current.log(counts if month.transform else "the function changes nothing")
        return current.output(preview.month(month, settings), month)


def assert_preview_is_real(rows: pd.DataFrame, month: CleanMonth) -> None:
    """Assert that a block shows the trips that are loaded, not some that its own code has changed."""
    settings = load_settings()
    expected = preview.month(staged(month, settings), settings)
    assert (len(rows), list(rows)) == (len(expected), list(expected)), (
        f"the block returns {len(rows)} rows of {rows.shape[1]} columns, but {len(expected)} of"
        f" {expected.shape[1]} are loaded: change trips in the block derive_trips instead."
    )


def _refuse_other_code(function: Callable[[Any], Any], settings: Settings) -> None:
    """Raise TransformError where the block shows one function and the pipeline applies another."""
    transform = read_transform(settings.transform)
    if transform and same_code(function, load_function(transform)):
        return
    if settings.transform == BLOCK:
        raise TransformError(f"{BLOCK}: the block has unsaved edits; save it, then run it again.")
    if not changes_nothing(function):
        raise TransformError(
            f"{settings.transform}: contains a different function than the block; save the block, or unset"
            " TAXI_TRANSFORM, which names this file."
        )
