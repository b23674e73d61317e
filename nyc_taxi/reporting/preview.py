"""Rows of a month at any stage, as a data frame that any page can show.

Bounded whatever the month's size; lists become text, because the pages that show dataframes are
slow with nested values or fail on them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from nyc_taxi.errors import TaxiError
from nyc_taxi.model.references import CleanMonth, MonthFiles, SourceFile
from nyc_taxi.reporting import sample
from nyc_taxi.reporting.current_months import files_of
from nyc_taxi.reporting.datasets import to_pandas
from nyc_taxi.settings import Settings
from nyc_taxi.transform.read import open_month
from nyc_taxi.transform.rule_checks import load_rules

if TYPE_CHECKING:
    import pandas as pd

ROWS = 1000

QUARANTINED_ROWS = 5
"""So few that trips are visible, too, on a page that shows the first ten rows."""


def raw(source: SourceFile, rows: int = ROWS) -> pd.DataFrame:
    """The first rows of the source file in canonical columns, before any rule."""
    reader = open_month(source)
    first = next(iter(reader.blocks()), None)
    if first is None:
        return _frame(reader.schema.empty_table())
    if isinstance(first, bytes):  # a block of lines is cut before it is parsed
        first = b"\n".join(first.split(b"\n", rows + 1)[: rows + 1]) + b"\n"
    frame = _frame(pa.Table.from_batches([reader.parse(first).batch]).slice(0, rows))
    frame.attrs["sample"] = f"the first {len(frame):,} rows of the file"
    return frame


def month(cleaned: CleanMonth, settings: Settings, rows: int = ROWS) -> pd.DataFrame:
    """A random sample of a month, staged or Parquet: a few quarantined rows first, then trips.

    `reasons`, `flags` and derived columns come first; `attrs["sample"]` describes the sample. Raises
    TaxiError when the month is neither on this machine nor in the lake.
    """
    quarantined = min(cleaned.rows_quarantined, QUARANTINED_ROWS, rows // 2)
    counts = rows - quarantined, quarantined
    if cleaned.is_staged:
        drawn = sample.of_staged(cleaned, load_rules(settings.rules, cleaned.service), *counts)
    else:
        drawn = sample.of_files(files_of(cleaned, settings), *counts)
    both = pa.concat_tables([drawn.quarantined, drawn.trips], promote_options="default")
    frame = _frame(_first(both, ["reasons", "flags", *cleaned.derived_columns]))
    frame.attrs["sample"] = ", then ".join(
        _share(shown, total, name)
        for shown, total, name in (
            (len(drawn.quarantined), cleaned.rows_quarantined, "quarantined rows"),
            (len(drawn.trips), cleaned.trips, "trips"),
        )
        if total
    )
    return frame


def trips(files: MonthFiles, rows: int = ROWS) -> pd.DataFrame:
    """A random sample of the trips, `flags` and derived columns first; `attrs["sample"]` describes it."""
    drawn = sample.of_files(files, rows, 0).trips
    frame = _frame(_first(drawn, ["flags", *files.derived_columns]))
    frame.attrs["sample"] = _share(len(drawn), files.trips, "trips")
    return frame


def quarantine(files: MonthFiles, rows: int = ROWS) -> pd.DataFrame:
    """The first quarantined rows."""
    return _frame(head(files.quarantine_path, rows))


def quality(files: MonthFiles) -> pd.DataFrame:
    """The quality report."""
    return _frame(head(files.quality_path, ROWS))


def head(path: Path, rows: int) -> pa.Table:
    """The first rows of a Parquet file; raises TaxiError if it is damaged."""
    try:
        with pq.ParquetFile(path) as file:
            batch = next(file.iter_batches(max(rows, 1)), None)
            batches = [batch] if batch is not None else []
            return pa.Table.from_batches(batches, file.schema_arrow).slice(0, rows)
    except (OSError, pa.ArrowInvalid) as error:
        raise TaxiError(f"{path}: is damaged ({error}); `taxi run` makes it anew.") from error


def _first(table: pa.Table, names: list[str]) -> pa.Table:
    """The table with these columns first."""
    return table.select([*names, *(name for name in table.column_names if name not in names)])


def _share(shown: int, total: int, name: str) -> str:
    return f"all {total:,} {name}" if shown == total else f"{shown:,} of {total:,} {name}, drawn at random"


def _frame(table: pa.Table) -> pd.DataFrame:
    frame = to_pandas(table)
    for field in table.schema:
        if pa.types.is_list(field.type):
            frame[field.name] = [", ".join(items or ()) for items in table[field.name].to_pylist()]
    return frame
