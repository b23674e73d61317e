"""The ledger: which version of each month the tables hold."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.engine import Connection

from nyc_taxi.model.ledger import LEDGER_FIELDS, LedgerEntry
from nyc_taxi.model.months import Month, Service


def current(connection: Connection, service: Service, month: Month) -> LedgerEntry | None:
    """The load in force of a month; None when it was never loaded."""
    clause = "WHERE service = :service AND month = :month"
    entries = _select(connection, clause, service=service, month=month)
    return entries[0] if entries else None


def current_all(connection: Connection, deletions: bool = False) -> list[LedgerEntry]:
    """The load in force of every service and month, and, if asked for, the deletions in force."""
    latest = "(SELECT DISTINCT ON (service, month) * FROM ledger ORDER BY service, month, id DESC) AS latest"
    relation = latest if deletions else "ledger_current"
    return _select(connection, "ORDER BY service, month", relation=relation)


def history(connection: Connection, service: Service, month: Month) -> list[LedgerEntry]:
    """Every load of a month, the first one first."""
    clause = "WHERE service = :service AND month = :month ORDER BY id"
    return _select(connection, clause, service=service, month=month, relation="ledger")


def add(connection: Connection, entry: LedgerEntry) -> None:
    """Record a load."""
    values = entry.to_row()
    names, marks = ", ".join(LEDGER_FIELDS), ", ".join(f":{name}" for name in LEDGER_FIELDS)
    connection.execute(text(f"INSERT INTO ledger ({names}) VALUES ({marks})"), values)


def _select(
    connection: Connection,
    clause: str,
    service: Service | None = None,
    month: Month | None = None,
    relation: str = "ledger_current",
) -> list[LedgerEntry]:
    if connection.scalar(text("SELECT to_regclass('ledger_current')")) is None:
        return []  # nothing was ever loaded here
    values = _key(service, month) if service and month else {}
    rows = connection.execute(text(f"SELECT * FROM {relation} {clause}"), values)
    return [LedgerEntry.from_row(dict(row._mapping)) for row in rows]


def _key(service: Service, month: Month) -> dict[str, object]:
    return {"service": str(service), "month": month.first_day}
