"""What every warehouse records of its months, and whether its tables still hold it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Generic, TypeVar

from nyc_taxi.load.contract import compare_counts, deletion
from nyc_taxi.load.warehouse import ledger
from nyc_taxi.load.warehouse.engine import Assertion, Engine, Statement
from nyc_taxi.model.ledger import LedgerEntry
from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.run import Run
from nyc_taxi.schema.tables import QUALITY_TABLE, Table, quarantine, trips

E = TypeVar("E", bound=Engine)


class WarehouseMonths(Generic[E]):
    """The part of the Destination protocol that is the same SQL in every warehouse."""

    def __init__(self, engine: E) -> None:
        self.engine = engine

    def ledger_entry(self, service: Service, month: Month) -> LedgerEntry | None:
        """See Destination."""
        return ledger.current(self.engine, service, month)

    def ledger_entries(
        self, months: Collection[tuple[Service, Month]] | None = None, *, deletions: bool = False
    ) -> list[LedgerEntry]:
        """See Destination."""
        entries = ledger.current_all(self.engine, deletions)
        return [each for each in entries if months is None or (each.service, each.month) in months]

    def history(self, service: Service, month: Month) -> list[LedgerEntry]:
        """See Destination."""
        return ledger.history(self.engine, service, month)

    def recorded_months(self) -> list[tuple[Service, Month]]:
        """See Destination."""
        return [(entry.service, entry.month) for entry in self.ledger_entries()]

    def find_damage(
        self, service: Service, month: Month, entry: LedgerEntry | None = None, *, thorough: bool = False
    ) -> str | None:
        """See Destination; counts the rows of the month."""
        entry = entry or self.ledger_entry(service, month)
        if entry is None:
            return None
        held = [self._count(table, month) for table in (trips(service), quarantine(service))]
        return compare_counts(entry, *held)

    def delete_month(self, service: Service, month: Month, run: Run) -> LedgerEntry | None:
        """See Destination; one transaction. Raises DestinationError if the month is loaded meanwhile."""
        held = self.ledger_entry(service, month)
        if held is None:
            return None
        self.create_tables()  # the ledger of an earlier version lacks columns
        entry = deletion(held, run)
        current = self.engine.qualified("ledger_current")
        of_month = "service = @service AND month = @month"
        statements: list[Statement] = [
            Assertion(
                f"EXISTS (SELECT 1 FROM {current} WHERE {of_month} AND finished_at = @held_at)",
                f"{service} {month} was loaded or deleted meanwhile; delete it again",
            ),
            *(
                f"DELETE FROM {self.engine.qualified(table.name)} WHERE month = @month"
                for table in (trips(service), quarantine(service))
            ),
            f"DELETE FROM {self.engine.qualified(QUALITY_TABLE.name)} WHERE {of_month}",
            ledger.insert_statement(self.engine),
        ]
        values = entry.to_row() | {"held_at": held.finished_at}
        name = f"{service}-{month}-{held.version}-delete-{entry.finished_at:%Y%m%dT%H%M%S%f}"
        self.engine.transact(statements, values, run, name, service)
        return entry

    def create_tables(self) -> None:
        """Create the tables and views that are missing, and the columns that tables lack."""
        raise NotImplementedError

    def _count(self, table: Table, month: Month) -> int:
        query = f"SELECT COUNT(*) AS held FROM {self.engine.qualified(table.name)} WHERE month = @month"
        rows = self.engine.rows(query, {"month": month.first_day}, optional=table.name)
        return int(rows[0]["held"]) if rows else 0
