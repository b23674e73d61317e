"""The first rows of a month at any stage, as a dataframe that any page can show.

Bounded whatever the month's size; lists become text, because the pages that show dataframes are
slow with nested values or fail on them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from nyc_taxi.errors import TaxiError
from nyc_taxi.lake.lake import Lake
from nyc_taxi.model.references import CleanMonth, MonthFiles, SourceFile
from nyc_taxi.reporting.datasets import to_pandas
from nyc_taxi.settings import Settings
from nyc_taxi.transform.judged import judged_batches
from nyc_taxi.transform.read import open_month
from nyc_taxi.transform.rules import load_rules

if TYPE_CHECKING:
    import pandas as pd

ROWS = 1000


def raw(source: SourceFile, rows: int = ROWS) -> pd.DataFrame:
    """The first rows of the source file in canonical columns, before any rule."""
    reader = open_month(source)
    first = next(iter(reader.blocks()), None)
    if first is None:
        return _frame(reader.schema.empty_table())
    if isinstance(first, bytes):  # a block of lines is cut before it is parsed
        first = b"\n".join(first.split(b"\n", rows + 1)[: rows + 1]) + b"\n"
    return _frame(pa.Table.from_batches([reader.parse(first).batch]).slice(0, rows))


def clean(cleaned: CleanMonth, settings: Settings, rows: int = ROWS) -> pd.DataFrame:
    """The first trips with their flags."""
    if cleaned.local is None or not cleaned.local.exists():  # it has become Parquet
        versions = Lake(settings).versions
        files = versions.find(cleaned.service, cleaned.month, cleaned.version)
        return _frame(head(versions.fetch(files).trips_path, rows)) if files else _frame(pa.table({}))
    batches = judged_batches(cleaned, load_rules(settings.rules, cleaned.service))
    trips, _ = next(batches)
    batches.close()
    return _frame(pa.Table.from_batches([trips]).slice(0, rows))


def trips(files: MonthFiles, rows: int = ROWS) -> pd.DataFrame:
    """The first trips."""
    return _frame(head(files.trips_path, rows))


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


def _frame(table: pa.Table) -> pd.DataFrame:
    frame = to_pandas(table)
    for field in table.schema:
        if pa.types.is_list(field.type):
            frame[field.name] = [", ".join(items) for items in table[field.name].to_pylist()]
    return frame
