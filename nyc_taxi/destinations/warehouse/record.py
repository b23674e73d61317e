"""What a load brings, and how it is written into a warehouse's ledger and read back."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from nyc_taxi import __version__
from nyc_taxi.destinations.base import Recorded, Run
from nyc_taxi.errors import DestinationError
from nyc_taxi.months import Month, Service
from nyc_taxi.reference import MonthFiles
from nyc_taxi.schema import SCHEMA_VERSION

COLUMNS = tuple(column.name for column in dataclasses.fields(Recorded))
"""The ledger's columns without its id."""


def footer(path: Path) -> pq.FileMetaData:
    """Rows and columns of a Parquet file; raises DestinationError when it is no whole Parquet file."""
    try:
        return pq.read_metadata(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise DestinationError(
            f"{path}: cannot be read ({error}); make the month's Parquet again."
        ) from error


def record(files: MonthFiles, run: Run, started: dt.datetime) -> Recorded:
    """The ledger's row for a load that ends now; raises DestinationError when rows are lost."""
    if files.trips + files.rows_quarantined != files.rows_in:
        raise DestinationError(
            f"{files.folder}: {files.trips:,} trips and {files.rows_quarantined:,} quarantined rows are not"
            f" the {files.rows_in:,} rows of the source: make the month again."
        )
    return Recorded(
        service=files.service,
        month=files.month,
        version=files.version,
        source_url=files.source.url,
        source_etag=files.source.etag,
        source_sha256=files.source.sha256,
        rows_in=files.rows_in,
        rows_loaded=files.trips,
        rows_quarantined=files.rows_quarantined,
        schema_version=SCHEMA_VERSION,
        package_version=__version__,
        started_at=started,
        finished_at=dt.datetime.now(dt.UTC),
        run_id=run.run_id,
        orchestrator=run.orchestrator,
    )


def to_row(recorded: Recorded) -> dict[str, Any]:
    """The ledger's row as plain values by column."""
    return vars(recorded) | {"service": str(recorded.service), "month": recorded.month.first_day}


def from_row(row: Mapping[str, Any]) -> Recorded:
    """The inverse of `to_row`."""
    values = {name: row[name] for name in COLUMNS}
    return Recorded(**{**values, "service": Service(row["service"]), "month": Month.of(row["month"])})
