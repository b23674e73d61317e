"""What every destination does: hold one complete version of each service and month, and say which."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import pyarrow as pa

from nyc_taxi import __version__
from nyc_taxi.errors import DestinationError
from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.references import CleanMonth, MonthFiles, is_sample
from nyc_taxi.schema import SCHEMA_VERSION, Column
from nyc_taxi.transform.judged import ComingMonth

Progress = Callable[[int, int], None]
"""Called with (rows done, rows in all) now and then."""


@dataclass(frozen=True)
class Run:
    """Who loads: written into the ledger beside what was loaded."""

    run_id: str
    orchestrator: str
    """`cli`, `mage` or `airflow`."""


def new_run_id(kind: str) -> str:
    """An id for a run that has none: its moment, and a random part for others of that second."""
    return f"{kind}-{dt.datetime.now(dt.UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:6]}"


@dataclass(frozen=True)
class LedgerEntry:
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

    @property
    def is_sample(self) -> bool:
        """Whether the month was generated rather than published by TLC."""
        return is_sample(self.source_url)

    @classmethod
    def of(cls, month: CleanMonth, run: Run, started: dt.datetime) -> LedgerEntry:
        """What a load that ends now has brought."""
        return cls(
            service=month.service,
            month=month.month,
            version=month.version,
            source_url=month.source.url,
            source_etag=month.source.etag,
            source_sha256=month.source.sha256,
            rows_in=month.rows_in,
            rows_loaded=month.trips,
            rows_quarantined=month.rows_quarantined,
            schema_version=SCHEMA_VERSION,
            package_version=__version__,
            started_at=started,
            finished_at=dt.datetime.now(dt.UTC),
            run_id=run.run_id,
            orchestrator=run.orchestrator,
        )


def refuse_sample(month: CleanMonth, there: LedgerEntry | None, where: str) -> None:
    """Raise DestinationError when the month is generated and what is there is not.

    Asked before a load for the sake of time, and where a destination has its ledger to itself for
    the sake of certainty.
    """
    if there and month.source.is_sample and not there.is_sample:
        raise DestinationError(
            f"{where} holds the real {month.service} {month.month} ({there.source_url});"
            " a generated sample is not loaded over it. Use another month."
        )


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

    def ledger_entry(self, service: Service, month: Month) -> LedgerEntry | None:
        """What the ledger says is there now; None when the month was never loaded."""
        ...

    def ledger_entries(self) -> list[LedgerEntry]:
        """The current ledger row of every service and month."""
        ...

    def replace_lookup(self, lookup: Lookup) -> None:
        """Make a small table in the destination equal to `lookup`, all or nothing."""
        ...

    def replace_month(self, files: MonthFiles, run: Run, progress: Progress | None = None) -> LedgerEntry:
        """Make the month in the destination equal to `files`, all or nothing, and record it.

        Raises DestinationError (DestinationUnreachable when another try may help); then the month
        is as it was before.
        """
        ...


@runtime_checkable
class EarlyDestination(Protocol):
    """A destination that loads trips while their Parquet is still being written."""

    def replace_coming_month(
        self, month: ComingMonth, run: Run, progress: Progress | None = None
    ) -> LedgerEntry:
        """As `Destination.replace_month`; nothing is visible before the Parquet is whole."""
        ...
