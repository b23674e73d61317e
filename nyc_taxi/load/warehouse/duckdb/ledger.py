"""The ledger: which version of each month the tables hold.

Values are not bound as parameters: at the first of those DuckDB imports pandas, half a second and 60 MB.
"""

from __future__ import annotations

import duckdb
import pyarrow as pa

from nyc_taxi.load.contract import LedgerEntry
from nyc_taxi.load.warehouse.duckdb.tables import columns, qualified
from nyc_taxi.load.warehouse.record import COLUMNS, from_row, to_row
from nyc_taxi.model.months import Month, Service


def current(connection: duckdb.DuckDBPyConnection, service: Service, month: Month) -> LedgerEntry | None:
    """The load in force of a month; None when it was never loaded."""
    everything = current_all(connection)
    return next((row for row in everything if (row.service, row.month) == (service, month)), None)


def current_all(connection: duckdb.DuckDBPyConnection) -> list[LedgerEntry]:
    """The load in force of every service and month."""
    if not columns(connection, "ledger_current"):
        return []  # nothing was ever loaded here
    names = ", ".join(COLUMNS)
    rows = connection.execute(f"SELECT {names} FROM {qualified('ledger_current')} ORDER BY service, month")
    return [from_row(dict(zip(COLUMNS, row, strict=True))) for row in rows.fetchall()]


def add(connection: duckdb.DuckDBPyConnection, entry: LedgerEntry) -> None:
    """Write a load down."""
    ledger = qualified("ledger")
    connection.register("ledger_row", pa.Table.from_pylist([to_row(entry)]))
    connection.execute(
        f"INSERT INTO {ledger} BY NAME"
        f" SELECT (SELECT coalesce(max(id), 0) + 1 FROM {ledger}) AS id, * FROM ledger_row"
    )
    connection.unregister("ledger_row")
