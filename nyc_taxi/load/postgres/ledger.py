"""The ledger: which version of each month the tables hold."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.engine import Connection

from nyc_taxi.model.ledger import LEDGER_FIELDS, LedgerEntry
from nyc_taxi.model.months import Month, Service


def current(connection: Connection, service: Service, month: Month) -> LedgerEntry | None:
    """The load in force of a month; None when it was never loaded."""
    loads = history(connection, service, month)
    return loads[-1] if loads and not loads[-1].is_deletion else None


def current_all(connection: Connection, deletions: bool = False) -> list[LedgerEntry]:
    """The load in force of every service and month, and, if asked for, the deletions in force."""
    query = "SELECT DISTINCT ON (service, month) * FROM ledger ORDER BY service, month, id DESC"
    return [entry for entry in _select(connection, query) if deletions or not entry.is_deletion]


def history(connection: Connection, service: Service, month: Month) -> list[LedgerEntry]:
    """Every load and deletion of a month, the first one first."""
    query = "SELECT * FROM ledger WHERE service = :service AND month = :month ORDER BY id"
    return _select(connection, query, service=str(service), month=month.first_day)


def add(connection: Connection, entry: LedgerEntry) -> None:
    """Record a load or deletion."""
    values = entry.to_row()
    names, marks = ", ".join(LEDGER_FIELDS), ", ".join(f":{name}" for name in LEDGER_FIELDS)
    connection.execute(text(f"INSERT INTO ledger ({names}) VALUES ({marks})"), values)


def _select(connection: Connection, query: str, **values: object) -> list[LedgerEntry]:
    if connection.scalar(text("SELECT to_regclass('ledger')")) is None:
        return []  # nothing was ever loaded here
    return LedgerEntry.from_rows(dict(row._mapping) for row in connection.execute(text(query), values))
