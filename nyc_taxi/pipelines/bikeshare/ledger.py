"""The ledger: what each table holds of each day."""

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
    """The record of what a table holds of a day."""

    table_name: str
    date: dt.date
    version: str
    source: str
    row_count: int
    counts: str
    """What the checks counted, as JSON."""
    started_at: dt.datetime
    finished_at: dt.datetime
    run_id: str
    orchestrator: str
    package_version: str = __version__


COLUMNS = tuple(field.name for field in dataclasses.fields(Entry))


def entries(warehouse: Reader) -> list[Entry]:
    """All entries, by day and table; none if nothing was ever loaded."""
    query = f"SELECT {', '.join(COLUMNS)} FROM {warehouse.qualified(LEDGER.name)} ORDER BY date, table_name"
    return [Entry.from_dict(row) for row in warehouse.rows(query, {}, optional=LEDGER.name)]


def by_table(entries: Iterable[Entry], day: dt.date) -> dict[str, Entry]:
    """The entries of a day by table."""
    return {entry.table_name: entry for entry in entries if entry.date == day}


def digest(entries: Iterable[Entry]) -> str:
    """Identifies what a transaction loads, whichever run it is of."""
    text = "\n".join(f"{entry.table_name} {entry.date} {entry.version}" for entry in entries)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def replace(
    warehouse: Reader, entries: Sequence[Entry], counted: Mapping[str, str] | None = None
) -> tuple[list[Statement], dict[str, Any]]:
    """Statements that replace the entries of the same tables and days, and the values of their parameters.

    `counted`: SQL that counts a table's rows, for entries that do not know their number.
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
