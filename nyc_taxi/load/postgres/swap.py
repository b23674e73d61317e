"""Loaded tables become the partitions that readers see."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from sqlalchemy import text
from sqlalchemy.engine import Connection

from nyc_taxi.errors import SchemaError
from nyc_taxi.load.postgres.client import execute
from nyc_taxi.load.postgres.locks import lock_tables
from nyc_taxi.load.postgres.tables import columns_of, partition_of
from nyc_taxi.model.months import Month
from nyc_taxi.schema.sql import comment, postgres_comment, quoted

if TYPE_CHECKING:
    from nyc_taxi.load.postgres.staging import Staged


def lock(connection: Connection, tables: Iterable[Staged]) -> None:
    """Take all locks that swapping these tables in needs.

    Takes each parent's strongest lock at once, never a weaker one first (two sessions that both want
    more than they have would wait for each other). A first month only adds, and readers go on.
    """
    exclusive, shared = [], []
    for staged in tables:
        replaces = is_partition(connection, staged.parent, staged.month)
        if replaces or not staged.columns.keys() <= columns_of(connection, staged.parent).keys():
            exclusive += [staged.parent, *[staged.partition] * replaces]
        else:
            shared.append(staged.parent)
    lock_tables(connection, shared, "SHARE UPDATE EXCLUSIVE")
    lock_tables(connection, exclusive)


def swap(connection: Connection, staged: Staged) -> None:
    """Put the loaded table in the place of the month's partition; the tables are locked."""
    parent, partition, loaded = quoted(staged.parent), quoted(staged.partition), quoted(staged.name)
    if is_partition(connection, staged.parent, staged.month):
        execute(connection, f"DROP TABLE {partition}")
    _same_columns(connection, staged)
    _same_comments(connection, staged)
    execute(
        connection,
        f"ALTER TABLE {parent} ATTACH PARTITION {loaded} FOR VALUES IN ('{staged.month.first_day}')",
    )
    execute(connection, f"ALTER TABLE {loaded} DROP CONSTRAINT month")  # the bound says the same now
    _rename(connection, staged)


def is_partition(connection: Connection, parent: str, month: Month) -> bool:
    """Whether the month is there; a table that only has its name is somebody's own and stays."""
    query = "SELECT FROM pg_inherits WHERE inhparent = to_regclass(:parent) AND inhrelid = to_regclass(:name)"
    names = {"parent": quoted(parent), "name": quoted(partition_of(parent, month))}
    return connection.execute(text(query), names).first() is not None


def _same_columns(connection: Connection, staged: Staged) -> None:
    """Give the parent the file's new columns, and the loaded table those that other months added."""
    existing = columns_of(connection, staged.parent)
    for name, kind in staged.columns.items():
        if name not in existing:
            execute(connection, f"ALTER TABLE {quoted(staged.parent)} ADD COLUMN {quoted(name)} {kind}")
            note = staged.descriptions.get(name, f"Unknown to the schema; first loaded with {staged.month}.")
            execute(connection, postgres_comment(staged.parent, name, note))
        elif existing[name] != kind:
            raise SchemaError(
                f"{staged.partition}: the column {name} was loaded as {kind}, but another run has added it "
                f"to the table {staged.parent} as {existing[name]}: run the month again."
            )
    for name in existing.keys() - staged.columns.keys():
        execute(connection, f"ALTER TABLE {quoted(staged.name)} ADD COLUMN {quoted(name)} {existing[name]}")


def _same_comments(connection: Connection, staged: Staged) -> None:
    """What the schema says of a column now, also of one that it did not know when it was added."""
    query = (
        "SELECT attname, col_description(attrelid, attnum) FROM pg_attribute"
        " WHERE attrelid = to_regclass(:table) AND attnum > 0"
    )
    comments = {row[0]: row[1] for row in connection.execute(text(query), {"table": quoted(staged.parent)})}
    for column in staged.known:
        if column.name in comments and comments[column.name] != comment(column):
            execute(connection, postgres_comment(staged.parent, column.name, comment(column)))


def _rename(connection: Connection, staged: Staged) -> None:
    """The loaded table and its indexes take the partition's name."""
    execute(connection, f"ALTER TABLE {quoted(staged.name)} RENAME TO {quoted(staged.partition)}")
    query = (
        "SELECT relname FROM pg_class JOIN pg_index ON indexrelid = pg_class.oid"
        " WHERE indrelid = to_regclass(:table)"
    )
    for index in connection.scalars(text(query), {"table": quoted(staged.partition)}).all():
        new = index.replace(staged.name, staged.partition)
        if new != index:
            execute(connection, f"ALTER INDEX {quoted(index)} RENAME TO {quoted(new)}")
