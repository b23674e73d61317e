"""A month's Parquet in a table of its own, beside the one that readers see."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import pyarrow as pa
from sqlalchemy import text
from sqlalchemy.engine import Connection

from nyc_taxi.errors import SchemaError
from nyc_taxi.load.postgres.client import execute
from nyc_taxi.load.postgres.copy import copy_batches
from nyc_taxi.load.postgres.tables import columns_of, partition_of
from nyc_taxi.model.months import Month
from nyc_taxi.schema import Column, descriptions
from nyc_taxi.schema.sql import CHANGE_TYPE, POSTGRES_TYPES, literal, postgres_type, quoted
from nyc_taxi.transform.refined import Batches


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
    descriptions: dict[str, str]
    """What the file says of its own columns."""

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
    rows: Batches,
    progress: Callable[[int], None],
    constants: Mapping[str, str] = MappingProxyType({}),
) -> Staged:
    """Load a month's rows into a new table with the parent's columns, and the rows' own behind them.

    The table gets the parent's indexes, statistics, and the constraint that spares attaching it a scan.
    `constants`: columns that the rows do not have, as all have the same text. No lock on the parent
    is kept. Raises SchemaError for a column that does not fit the parent's.
    """
    schema, batches = rows
    existing = columns_of(connection, parent)
    new = {column.name: POSTGRES_TYPES[column.type] for column in known if column.name not in existing}
    columns = existing | new | _fitting(schema, existing, f"{parent} of {month}", parent)
    staged = Staged(parent, known, month, columns, rows=0, descriptions=descriptions(schema))
    this = f"DATE '{month.first_day}'"
    always = {name: f"DEFAULT {literal(value)}" for name, value in constants.items()}
    always["month"] = f"NOT NULL DEFAULT {this} CONSTRAINT month CHECK (month = {this})"
    lines = [f"{quoted(name)} {kind} {always.get(name, '')}" for name, kind in columns.items()]
    execute(connection, f"CREATE TABLE {quoted(staged.name)} ({', '.join(lines)})")
    count = copy_batches(connection, staged.name, schema, _counted(batches, progress), freeze=True)
    for name in constants:
        execute(connection, f"ALTER TABLE {quoted(staged.name)} ALTER COLUMN {quoted(name)} DROP DEFAULT")
    for definition in _index_definitions(connection, parent, staged.name):
        execute(connection, definition)
    # 12,000 rows tell the planner as much of a month as its usual 30,000, in a third of the time
    execute(connection, "SET LOCAL default_statistics_target TO 40")
    execute(connection, f"ANALYZE {quoted(staged.name)}")
    execute(connection, "RESET default_statistics_target")
    return dataclasses.replace(staged, rows=count)


def _fitting(schema: pa.Schema, existing: dict[str, str], file: str, table: str) -> dict[str, str]:
    """The file's columns with their Postgres types, each equal to the table's own where that has it."""
    columns = {}
    for field in schema:
        kind = postgres_type(field.type)
        if kind is None:
            raise SchemaError(
                f"{file}: the column {field.name} has type {field.type}, which no table supports."
            )
        if existing.get(field.name, kind) != kind:
            raise SchemaError(
                f"{file}: the column {field.name} is {kind}, but {existing[field.name]} in the table {table}:"
                f" {CHANGE_TYPE}."
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
        head.sub(lambda match: f"CREATE {match[1] or ''}INDEX ON {quoted(table)} USING ", definition)
        for definition in definitions
    ]
