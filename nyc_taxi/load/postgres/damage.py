"""Damage: rows that the ledger names and the tables do not hold (any more)."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.engine import Connection

from nyc_taxi.load.contract import compare_counts
from nyc_taxi.load.postgres import ledger
from nyc_taxi.model.ledger import LedgerEntry
from nyc_taxi.model.months import Month, Service
from nyc_taxi.schema import tables
from nyc_taxi.schema.sql import quoted


def find_damage(
    connection: Connection, service: Service, month: Month, entry: LedgerEntry | None
) -> str | None:
    """See Destination; counts the rows of the month."""
    entry = entry or ledger.current(connection, service, month)
    if entry is None:
        return None
    trips, quarantined = (
        _count(connection, table, month)
        for table in (tables.trips(service).name, tables.quarantine(service).name)
    )
    return compare_counts(entry, trips, quarantined)


def _count(connection: Connection, table: str, month: Month) -> int:
    if connection.scalar(text("SELECT to_regclass(:name)"), {"name": quoted(table)}) is None:
        return 0
    query = text(f"SELECT count(*) FROM {quoted(table)} WHERE month = :month")
    return int(connection.scalar(query, {"month": month.first_day}) or 0)
