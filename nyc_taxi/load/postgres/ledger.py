"""The ledger: which version of each month the tables hold."""

from __future__ import annotations

import dataclasses

from sqlalchemy import text
from sqlalchemy.engine import Connection, Row

from nyc_taxi.load.contract import LedgerEntry
from nyc_taxi.model.months import Month, Service

COLUMNS = tuple(column.name for column in dataclasses.fields(LedgerEntry))


def current(connection: Connection, service: Service, month: Month) -> LedgerEntry | None:
    """The load in force of a month; None when it was never loaded."""
    found = _select(connection, "WHERE service = :service AND month = :month", service=service, month=month)
    return found[0] if found else None


def current_all(connection: Connection) -> list[LedgerEntry]:
    """The load in force of every service and month."""
    return _select(connection, "ORDER BY service, month")


def add(connection: Connection, entry: LedgerEntry) -> None:
    """Write a load down."""
    values = dataclasses.asdict(entry) | _key(entry.service, entry.month)
    names, marks = ", ".join(COLUMNS), ", ".join(f":{name}" for name in COLUMNS)
    connection.execute(text(f"INSERT INTO ledger ({names}) VALUES ({marks})"), values)


def _select(
    connection: Connection, clause: str, service: Service | None = None, month: Month | None = None
) -> list[LedgerEntry]:
    if connection.scalar(text("SELECT to_regclass('ledger_current')")) is None:
        return []  # nothing was ever loaded here
    values = _key(service, month) if service and month else {}
    rows = connection.execute(text(f"SELECT {', '.join(COLUMNS)} FROM ledger_current {clause}"), values)
    return [_recorded(row) for row in rows]


def _key(service: Service, month: Month) -> dict[str, object]:
    return {"service": str(service), "month": month.first_day}


def _recorded(row: Row[tuple[object, ...]]) -> LedgerEntry:
    values = dict(row._mapping)
    return LedgerEntry(**{**values, "service": Service(row.service), "month": Month.of(row.month)})
