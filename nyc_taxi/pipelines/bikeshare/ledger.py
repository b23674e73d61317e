"""The ledger: what each table holds of each day."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from nyc_taxi.pipelines.bikeshare.derived import LEDGER
from nyc_taxi.pipelines.bikeshare.warehouse.base import Entry, Test, Warehouse

COLUMNS = tuple(field.name for field in dataclasses.fields(Entry))


def entries(warehouse: Warehouse) -> list[Entry]:
    """All rows, by day and table; none where nothing was ever loaded."""
    if not warehouse.has(LEDGER.name):
        return []
    rows = warehouse.rows(
        f"SELECT {', '.join(COLUMNS)} FROM {warehouse.qualified(LEDGER.name)} ORDER BY date, table_name", {}
    )
    return [Entry(**row) for row in rows]


def by_table(entries: Iterable[Entry], day: dt.date) -> dict[str, Entry]:
    """The rows of a day by table."""
    return {entry.table_name: entry for entry in entries if entry.date == day}


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
