"""The ledger: what each table holds of each day."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from nyc_taxi.bikeshare.derived import LEDGER
from nyc_taxi.bikeshare.warehouse.base import Entry, Test, Warehouse

COLUMNS = tuple(field.name for field in dataclasses.fields(Entry))


def of_day(warehouse: Warehouse, day: dt.date) -> dict[str, Entry]:
    """The rows of a day by table."""
    return {entry.table_name: entry for entry in _select(warehouse, "WHERE date = @day", {"day": day})}


def all_entries(warehouse: Warehouse) -> list[Entry]:
    """All rows, by day and table."""
    return _select(warehouse, "ORDER BY date, table_name", {})


def newest_day(warehouse: Warehouse) -> dt.date:
    """The newest day whose raw tables are loaded; there must be one."""
    days = [entry.date for entry in _select(warehouse, "WHERE table_name = 'raw_stations'", {})]
    return max(days)


def replace(
    warehouse: Warehouse, entries: Sequence[Entry], counted: Mapping[str, str] | None = None
) -> tuple[list[str | Test], dict[str, Any]]:
    """Statements that write rows in place of the earlier ones, and the values of their parameters.

    `counted`: SQL that counts a table's rows, where the entry itself does not know their number.
    """
    name = warehouse.qualified(LEDGER.name)
    statements: list[str | Test] = []
    values: dict[str, Any] = {}
    for number, entry in enumerate(entries):
        given = {column: f"@{column}_{number}" for column in COLUMNS}
        values |= {f"{column}_{number}": value for column, value in vars(entry).items()}
        row = given | {"row_count": (counted or {}).get(entry.table_name, given["row_count"])}
        statements += [
            f"DELETE FROM {name} WHERE table_name = {given['table_name']} AND date = {given['date']}",
            f"INSERT INTO {name} ({', '.join(row)}) SELECT {', '.join(row.values())}",
        ]
    return statements, values


def _select(warehouse: Warehouse, clause: str, values: dict[str, Any]) -> list[Entry]:
    if not warehouse.has(LEDGER.name):
        return []  # nothing was ever loaded here
    rows = warehouse.rows(
        f"SELECT {', '.join(COLUMNS)} FROM {warehouse.qualified(LEDGER.name)} {clause}", values
    )
    return [Entry(**row) for row in rows]
