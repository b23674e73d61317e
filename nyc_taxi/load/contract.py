"""The contract of every destination: hold one complete version of each service and month, and say which."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self

from nyc_taxi import __version__
from nyc_taxi.errors import DestinationError
from nyc_taxi.load.migration import Migration
from nyc_taxi.model.ledger import DELETE, LedgerEntry
from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.references import CleanMonth, MonthFiles
from nyc_taxi.model.run import Run
from nyc_taxi.schema import SCHEMA_VERSION, Column
from nyc_taxi.settings import Settings

if TYPE_CHECKING:  # reading a ledger needs no Arrow
    import pyarrow as pa

    from nyc_taxi.transform.refined import RefinedMonth

Progress = Callable[[int, int], None]
"""Called with (rows done, rows in all) from time to time."""


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
    """A place that holds months of trips."""

    name: str
    """As in the registry: `postgres`, `gcs`, ..."""

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """The configured one; raises SettingsError that names what is missing. Connects on first use."""
        ...

    def describe(self) -> str:
        """Where it is, for people: without secrets; names the embedded server or emulator if it is one."""
        ...

    def dataset(self, service: Service, month: Month) -> tuple[str, str]:
        """Namespace and name of the month's trips by https://openlineage.io/docs/spec/naming."""
        ...

    def ledger_entry(self, service: Service, month: Month) -> LedgerEntry | None:
        """The load in force of a month; None when the month was never loaded."""
        ...

    def ledger_entries(
        self, months: Collection[tuple[Service, Month]] | None = None, *, deletions: bool = False
    ) -> list[LedgerEntry]:
        """The load in force of every service and month, or of those in `months`.

        With `deletions` also the last entry of a month that was deleted.
        """
        ...

    def history(self, service: Service, month: Month) -> list[LedgerEntry]:
        """Every load and deletion of a month, the first one first."""
        ...

    def recorded_months(self) -> list[tuple[Service, Month]]:
        """Every month that is recorded, also where its data is damaged."""
        ...

    def find_damage(
        self, service: Service, month: Month, entry: LedgerEntry | None = None, *, thorough: bool = False
    ) -> str | None:
        """How the month's data differs from what is recorded of it; None if it does not, or nothing is.

        Counts rows, or compares the sizes of objects; `thorough` reads objects to compare their checksums.
        `entry` is what `ledger_entry` has just returned for the month: the ledger is not read again.
        """
        ...

    def has_lookup(self, name: str) -> bool:
        """Whether a lookup of that name was ever loaded."""
        ...

    def replace_lookup(self, lookup: Lookup) -> None:
        """Make a small table in the destination equal to `lookup`, all or nothing."""
        ...

    def replace_month(
        self,
        month: RefinedMonth,
        run: Run,
        progress: Progress | None = None,
        damaged: LedgerEntry | None = None,
    ) -> LedgerEntry:
        """Make the month in the destination equal to `month`, all or nothing, and record it.

        Loads nothing when the ledger names this version already, unless that entry is `damaged`. Raises
        DestinationError (DestinationUnreachable when another attempt may help); the month is then as it was
        before.
        """
        ...

    def delete_month(self, service: Service, month: Month, run: Run) -> LedgerEntry | None:
        """Delete the month, all or nothing, and record that; None if the destination does not hold it."""
        ...

    def migrate(self, *, dry_run: bool) -> list[Migration]:
        """Bring the tables to the schema, all or nothing; returns the steps. A dry run does not take them."""
        ...


def new_entry(month: CleanMonth, run: Run, started: dt.datetime) -> LedgerEntry:
    """The ledger entry of a load that ends now."""
    return LedgerEntry(
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
        rules=month.rules or None,
        accepted=run.accepted,
        transform=month.transform or None,
        destinations=",".join(run.destinations) or None,
    )


def deletion(held: LedgerEntry, run: Run) -> LedgerEntry:
    """The ledger entry of a deletion that ends now."""
    now = dt.datetime.now(dt.UTC)
    return dataclasses.replace(
        held,
        rows_in=0,
        rows_loaded=0,
        rows_quarantined=0,
        package_version=__version__,
        started_at=now,
        finished_at=now,
        run_id=run.run_id,
        orchestrator=run.orchestrator,
        accepted=None,
        destinations=None,
        action=DELETE,
    )


def check_counts(files: MonthFiles, trips: int, quarantined: int) -> None:
    """Raise DestinationError unless the row counts equal those in the manifest and add up to the source's."""
    if (trips, quarantined) != (files.trips, files.rows_quarantined) or trips + quarantined != files.rows_in:
        raise DestinationError(
            f"{files.folder}: holds {trips:,} trips and {quarantined:,} quarantined rows instead of"
            f" {files.trips:,} and {files.rows_quarantined:,}, in all {files.rows_in:,}:"
            " run the month again."
        )


def compare_counts(entry: LedgerEntry, trips: int, quarantined: int) -> str | None:
    """How the rows that a destination holds of a month differ from those that its ledger names."""
    if (trips, quarantined) == (entry.rows_loaded, entry.rows_quarantined):
        return None
    return (
        f"holds {trips:,} trips and {quarantined:,} quarantined rows, but its ledger says"
        f" {entry.rows_loaded:,} and {entry.rows_quarantined:,}"
    )


def refuse_sample(month: CleanMonth, held: LedgerEntry | None, where: str) -> None:
    """Raise DestinationError when the month is generated and the one that is held is not.

    Checked before a load to save time, and again where a destination has locked its ledger to be certain.
    """
    if held and month.source.is_sample and not held.is_sample:
        raise DestinationError(
            f"{where} holds the real {month.service} {month.month} ({held.source_url});"
            " a generated sample does not replace it. Use another month."
        )
