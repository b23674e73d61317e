"""What every warehouse records of its months, and whether its tables still hold it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Generic, TypeVar

from nyc_taxi.load.contract import compare_counts
from nyc_taxi.load.warehouse import ledger
from nyc_taxi.load.warehouse.engine import Reader
from nyc_taxi.model.ledger import LedgerEntry
from nyc_taxi.model.months import Month, Service
from nyc_taxi.schema.tables import Table, quarantine, trips

R = TypeVar("R", bound=Reader)


class WarehouseMonths(Generic[R]):
    """The part of the Destination protocol that reads; the same SQL in every warehouse."""

    def __init__(self, engine: R) -> None:
        self.engine = engine

    def ledger_entry(self, service: Service, month: Month) -> LedgerEntry | None:
        """See Destination."""
        return ledger.current(self.engine, service, month)

    def ledger_entries(self, months: Collection[tuple[Service, Month]] | None = None) -> list[LedgerEntry]:
        """See Destination."""
        entries = ledger.current_all(self.engine)
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

    def _count(self, table: Table, month: Month) -> int:
        query = f"SELECT COUNT(*) AS held FROM {self.engine.qualified(table.name)} WHERE month = @month"
        rows = self.engine.rows(query, {"month": month.first_day}, optional=table.name)
        return int(rows[0]["held"]) if rows else 0
