"""Damage: rows that the ledger names and the tables do not hold (any more)."""

from __future__ import annotations

from nyc_taxi.load.contract import compare_counts
from nyc_taxi.load.warehouse import ledger
from nyc_taxi.load.warehouse.engine import Reader
from nyc_taxi.model.months import Month, Service
from nyc_taxi.schema.tables import Table, quarantine, trips


def find_damage(reader: Reader, service: Service, month: Month) -> str | None:
    """See Destination; counts the rows of the month."""
    entry = ledger.current(reader, service, month)
    if entry is None:
        return None
    held = [_count(reader, table, month) for table in (trips(service), quarantine(service))]
    return compare_counts(entry, *held)


def _count(reader: Reader, table: Table, month: Month) -> int:
    query = f"SELECT COUNT(*) AS held FROM {reader.qualified(table.name)} WHERE month = @month"
    rows = reader.rows(query, {"month": month.first_day}, optional=table.name)
    return int(rows[0]["held"]) if rows else 0
