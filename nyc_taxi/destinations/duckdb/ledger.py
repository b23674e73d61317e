"""The ledger: which version of each month the tables hold."""

from __future__ import annotations

import duckdb

from nyc_taxi.destinations.base import Recorded
from nyc_taxi.destinations.duckdb.tables import columns, qualified
from nyc_taxi.destinations.warehouse.record import COLUMNS, from_row, to_row
from nyc_taxi.months import Month, Service


def current(connection: duckdb.DuckDBPyConnection, service: Service, month: Month) -> Recorded | None:
    """The load in force of a month; None when it was never loaded."""
    key = {"service": str(service), "month": month.first_day}
    found = _select(connection, "WHERE service = $service AND month = $month", key)
    return found[0] if found else None


def current_all(connection: duckdb.DuckDBPyConnection) -> list[Recorded]:
    """The load in force of every service and month."""
    return _select(connection, "ORDER BY service, month", {})


def add(connection: duckdb.DuckDBPyConnection, recorded: Recorded) -> None:
    """Write a load down."""
    ledger = qualified("ledger")
    connection.execute(
        f"INSERT INTO {ledger} (id, {', '.join(COLUMNS)})"
        f" SELECT coalesce(max(id), 0) + 1, {', '.join(f'${name}' for name in COLUMNS)} FROM {ledger}",
        to_row(recorded),
    )


def _select(connection: duckdb.DuckDBPyConnection, clause: str, values: dict[str, object]) -> list[Recorded]:
    if not columns(connection, "ledger_current"):
        return []  # nothing was ever loaded here
    names = ", ".join(COLUMNS)
    rows = connection.execute(f"SELECT {names} FROM {qualified('ledger_current')} {clause}", values)
    return [from_row(dict(zip(COLUMNS, row, strict=True))) for row in rows.fetchall()]
