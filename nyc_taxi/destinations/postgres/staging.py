"""A month's Parquet in a table of its own, beside the one that readers see."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from sqlalchemy import text
from sqlalchemy.engine import Connection

from nyc_taxi.destinations.postgres.connection import execute
from nyc_taxi.destinations.postgres.copy import copy_batches, read_parquet
from nyc_taxi.destinations.postgres.tables import columns_of, partition_of
from nyc_taxi.errors import SchemaError
from nyc_taxi.months import Month
from nyc_taxi.schema import Column
from nyc_taxi.schema.sql import postgres_type, quoted


@dataclass(frozen=True)
class Staged:
    """A loaded table that is to become a partition."""

    parent: str
    known: Sequence[Column]
    """The parent's columns that the schema knows."""
    month: Month
    columns: dict[str, str]
    """Postgres type by name, also of those that the parent does not have yet."""
    rows: int

    @property
    def partition(self) -> str:
        """The name it shall have."""
        return partition_of(self.parent, self.month)

    @property
    def name(self) -> str:
        """The name it has until then."""
        return self.partition + "_new"


def stage(
    connection: Connection,
    parent: str,
    known: Sequence[Column],
    month: Month,
    path: Path,
    progress: Callable[[int], None],
) -> Staged:
    """Load a file into a new table with the parent's columns, and the file's own behind them.

    The table gets the parent's indexes, statistics, and the constraint that spares attaching it a scan.
    No lock on the parent is kept. Raises SchemaError for a column that does not fit the parent's.
    """
    schema, batches = read_parquet(path)
    there = columns_of(connection, parent)
    columns = there | _fitting(schema, there, f"{path.name} of {month}", parent)
    staged = Staged(parent, known, month, columns, rows=0)
    this = f"DATE '{month.first_day}'"
    always = {"month": f"NOT NULL DEFAULT {this} CONSTRAINT month CHECK (month = {this})"}
    lines = [f"{quoted(name)} {kind} {always.get(name, '')}" for name, kind in columns.items()]
    execute(connection, f"CREATE TABLE {quoted(staged.name)} ({', '.join(lines)})")
    rows = copy_batches(connection, staged.name, schema, _counted(batches, progress), freeze=True)
    for definition in _index_definitions(connection, parent, staged.name):
        execute(connection, definition)
    execute(connection, f"ANALYZE {quoted(staged.name)}")
    return dataclasses.replace(staged, rows=rows)


def _fitting(schema: pa.Schema, there: dict[str, str], file: str, table: str) -> dict[str, str]:
    """The file's columns with their Postgres types, each equal to the table's own where that has it."""
    columns = {}
    for field in schema:
        kind = postgres_type(field.type)
        if kind is None:
            raise SchemaError(
                f"{file}: the column {field.name} has type {field.type}, which no table here holds."
            )
        if there.get(field.name, kind) != kind:
            raise SchemaError(
                f"{file}: the column {field.name} is {kind}, but {there[field.name]} in the table {table}: "
                "change the table's column, or state its type in nyc_taxi/schema/columns.yaml."
            )
        columns[field.name] = kind
    return columns


def _counted(batches: Iterator[pa.RecordBatch], progress: Callable[[int], None]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        yield batch
        progress(len(batch))


def _index_definitions(connection: Connection, parent: str, table: str) -> list[str]:
    """CREATE INDEX on the table for each index of the parent, also those that users made.

    An index that the table lacks would be built while it is attached, when readers wait.
    """
    query = "SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = to_regclass(:parent)"
    definitions = connection.scalars(text(query), {"parent": quoted(parent)})
    head = re.compile(r"^CREATE (UNIQUE )?INDEX .+? ON ONLY .+? USING ")
    return [
        head.sub(lambda found: f"CREATE {found[1] or ''}INDEX ON {quoted(table)} USING ", definition)
        for definition in definitions
    ]
