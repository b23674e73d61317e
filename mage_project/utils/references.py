"""The reference to a month, which a block's data frame carries to the next block in `DataFrame.attrs`.

pandas writes `attrs` into Parquet, the format in which Mage stores a block's output, and filtering a data
frame keeps them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import pandas as pd

from nyc_taxi.errors import TaxiError
from nyc_taxi.lake.lookups import LookupFile
from nyc_taxi.model.references import CleanMonth, MonthFiles, Reference

_REFERENCE, _CONTENT = "reference", "content"


def with_reference(rows: pd.DataFrame, reference: Reference | Mapping[str, Any]) -> pd.DataFrame:
    """The rows, which now carry the reference."""
    values = dict(reference) if isinstance(reference, Mapping) else reference.to_dict()
    rows.attrs |= {_REFERENCE: values, _CONTENT: _digest(rows)}
    return rows


def reference_of(rows: Any) -> dict[str, Any]:
    """The reference that a data frame carries; raises TaxiError where there is none."""
    reference = getattr(rows, "attrs", {}).get(_REFERENCE)
    if reference is None:
        raise TaxiError(
            "the input carries no reference to a month: use the data frame of a block of taxi_trips, or one"
            " made of it by filtering or adding columns; a new data frame and a merged one lose it. If an"
            " earlier version of the project stored the input, run the blocks before this one again."
        )
    return dict(reference)


def input_reference(rows: Any) -> dict[str, Any]:
    """The reference of an unchanged output; raises TaxiError where rows were changed on their way.

    The whole month is loaded, not the rows that a block shows: a change of these would have no effect.
    """
    reference = reference_of(rows)
    if _digest(rows) != rows.attrs[_CONTENT]:
        raise TaxiError(
            "a block before this one changes the rows that it shows, and that is not loaded: add columns and"
            " drop trips in the function of the block derive_trips, which is applied to the whole month."
        )
    return reference


def month_of(rows: Any) -> CleanMonth:
    """The month that a data frame refers to; MonthFiles once it is Parquet.

    Raises TaxiError for a data frame without a reference, or of a raw file.
    """
    reference = reference_of(rows)
    reference = reference.get("files", reference)  # an exporter's
    if "objects" in reference:
        return MonthFiles.from_dict(reference)
    if "rows_in" in reference:
        return CleanMonth.from_dict(reference)
    raise TaxiError("the input refers to no trips: use the output of clean_trips or of a block after it.")


def lookup_of(rows: Any) -> LookupFile:
    """The lookup file that a data frame refers to; raises TaxiError where it refers to anything else."""
    reference = reference_of(rows)
    if "file" not in reference:
        raise TaxiError(
            "the input refers to no list of zones: connect the block download_zones, or run it again if an"
            " earlier version of the project stored its output."
        )
    return LookupFile.from_dict(reference["file"])


def _digest(rows: pd.DataFrame) -> str:
    """Of names and values as text, which are the same before and after Mage has stored them."""
    values = pd.util.hash_pandas_object(rows.astype("string"), index=False)
    return hashlib.sha256(f"{list(rows)}".encode() + values.to_numpy().tobytes()).hexdigest()[:16]
