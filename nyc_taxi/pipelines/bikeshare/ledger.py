"""The ledger: the content of each table by day."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic.dataclasses import dataclass

from nyc_taxi import __version__
from nyc_taxi.load.warehouse.engine import Reader, Statement
from nyc_taxi.model.record import CONFIG, Record
from nyc_taxi.pipelines.bikeshare.derived import LEDGER


@dataclass(frozen=True, config=CONFIG)
class Entry(Record):
    """The record of a table's content for a day."""

    table_name: str
    date: dt.date
    version: str
    source: str
    row_count: int
    counts: str
    """Counts of the checks, as JSON."""
    started_at: dt.datetime
    finished_at: dt.datetime
    run_id: str
    orchestrator: str
    package_version: str = __version__


COLUMNS = tuple(field.name for field in dataclasses.fields(Entry))


def entries(warehouse: Reader) -> list[Entry]:
    """Return all entries, by day and table; empty if nothing was ever loaded."""
    query = f"SELECT {', '.join(COLUMNS)} FROM {warehouse.qualified(LEDGER.name)} ORDER BY date, table_name"
    return [Entry.from_dict(row) for row in warehouse.rows(query, {}, optional=LEDGER.name)]


def by_table(entries: Iterable[Entry], day: dt.date) -> dict[str, Entry]:
    """Return the entries of a day by table."""
    return {entry.table_name: entry for entry in entries if entry.date == day}


def digest(entries: Iterable[Entry]) -> str:
    """Return an identifier of the content that a transaction loads, independent of the run."""
    text = "\n".join(f"{entry.table_name} {entry.date} {entry.version}" for entry in entries)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def replace(
    warehouse: Reader, entries: Sequence[Entry], counted: Mapping[str, str] | None = None
) -> tuple[list[Statement], dict[str, Any]]:
    """Return statements that replace the entries of the same tables and days, and their parameters.

    `counted`: SQL by table that counts its rows, for entries without a row count.
    """
    name = warehouse.qualified(LEDGER.name)
    statements: list[Statement] = []
    values: dict[str, Any] = {}
    for number, entry in enumerate(entries):
        parameters = {column: f"@{column}_{number}" for column in COLUMNS}
        values |= {f"{column}_{number}": value for column, value in vars(entry).items() if column in COLUMNS}
        row = parameters | {"row_count": (counted or {}).get(entry.table_name, parameters["row_count"])}
        key = f"table_name = {parameters['table_name']} AND date = {parameters['date']}"
        statements += [
            f"DELETE FROM {name} WHERE {key}",
            f"INSERT INTO {name} ({', '.join(row)}) SELECT {', '.join(row.values())}",
        ]
    return statements, values
