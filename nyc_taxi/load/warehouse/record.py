"""What a load brings, and how it is written into a warehouse's ledger and read back."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from nyc_taxi.errors import DestinationError
from nyc_taxi.load.contract import LedgerEntry, Run
from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.references import MonthFiles

COLUMNS = tuple(column.name for column in dataclasses.fields(LedgerEntry))
"""The ledger's columns without its id."""


def footer(path: Path) -> pq.FileMetaData:
    """Rows and columns of a Parquet file; raises DestinationError when it is no whole Parquet file."""
    try:
        return pq.read_metadata(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise DestinationError(
            f"{path}: cannot be read ({error}); make the month's Parquet again."
        ) from error


def record(files: MonthFiles, run: Run, started: dt.datetime) -> LedgerEntry:
    """The ledger's row for a load that ends now; raises DestinationError when rows are lost."""
    if files.trips + files.rows_quarantined != files.rows_in:
        raise DestinationError(
            f"{files.folder}: {files.trips:,} trips and {files.rows_quarantined:,} quarantined rows are not"
            f" the {files.rows_in:,} rows of the source: make the month again."
        )
    return LedgerEntry.of(files, run, started)


def to_row(entry: LedgerEntry) -> dict[str, Any]:
    """The ledger's row as plain values by column."""
    return vars(entry) | {"service": str(entry.service), "month": entry.month.first_day}


def from_row(row: Mapping[str, Any]) -> LedgerEntry:
    """The inverse of `to_row`."""
    values = {name: row[name] for name in COLUMNS}
    return LedgerEntry(**{**values, "service": Service(row["service"]), "month": Month.of(row["month"])})
