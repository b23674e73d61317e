"""What every destination does: hold one complete version of each service and month, and say which."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from nyc_taxi.months import Month, Service
from nyc_taxi.reference import MonthFiles
from nyc_taxi.schema import Column

Progress = Callable[[int, int], None]
"""Called with (rows done, rows in all) now and then."""


@dataclass(frozen=True)
class Run:
    """Who loads: written into the ledger beside what was loaded."""

    run_id: str
    orchestrator: str
    """`cli`, `mage` or `airflow`."""


@dataclass(frozen=True)
class Recorded:
    """The ledger's current row for a service and month."""

    service: Service
    month: Month
    version: str
    source_url: str
    source_etag: str | None
    source_sha256: str
    rows_in: int
    rows_loaded: int
    rows_quarantined: int
    schema_version: int
    package_version: str
    started_at: dt.datetime
    finished_at: dt.datetime
    run_id: str
    orchestrator: str


@dataclass(frozen=True)
class Lookup:
    """A small table that trips refer to, such as the taxi zones; replaced whole."""

    name: str
    description: str
    columns: tuple[Column, ...]
    key: str
    """The column that tells rows apart and is never empty."""
    rows: pa.Table


class Destination(Protocol):
    """A place where months of trips are kept."""

    name: str
    """`postgres`, `gcs`, `s3`, `bigquery` or `duckdb`."""

    def describe(self) -> str:
        """Where it is, for people: no secrets; says so when it is a stand-in."""
        ...

    def recorded_version(self, service: Service, month: Month) -> Recorded | None:
        """What the ledger says is there now; None when the month was never loaded."""
        ...

    def recorded(self) -> list[Recorded]:
        """The current ledger row of every service and month."""
        ...

    def replace_lookup(self, lookup: Lookup) -> None:
        """Make a small table in the destination equal to `lookup`, all or nothing."""
        ...

    def replace_month(self, files: MonthFiles, run: Run, progress: Progress | None = None) -> Recorded:
        """Make the month in the destination equal to `files`, all or nothing, and record it.

        Raises DestinationError (DestinationUnreachable when another try may help); then the month
        is as it was before.
        """
        ...
