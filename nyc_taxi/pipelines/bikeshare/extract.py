"""Extract the application's tables from its database, with the columns of tables.yaml."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

from sqlalchemy.engine import Connection

from nyc_taxi.errors import SchemaError
from nyc_taxi.pipelines.bikeshare.database import Database, quoted
from nyc_taxi.pipelines.bikeshare.files import BATCH, write_parquet
from nyc_taxi.pipelines.bikeshare.tables import RawTable

log = logging.getLogger(__name__)


def extract_table(database: Database, table: RawTable, path: Path) -> int:
    """Write a table to a Parquet file atomically, ordered by its key, and return the number of rows.

    A single statement reads the rows, so that they are consistent; a server-side cursor streams them in
    batches, so that memory stays bounded. Raises SourceUnreachable after TAXI_RETRIES attempts, SourceError
    if the database rejects the query, SchemaError if the table does not match tables.yaml, SettingsError if
    no database exists.
    """
    what = f"{database.where}, table {table.name}"
    return database.retry.call(lambda: write_parquet(table, _rows(database, table), path, what))


def count_rows(database: Database, table: RawTable) -> int:
    """Return a table's number of rows; raises as `extract_table` does, after one attempt."""
    with database.connect() as connection:
        result = connection.exec_driver_sql(f"SELECT COUNT(*) FROM ({select(table)}) AS selected")
        return int(result.scalar_one())


def select(table: RawTable) -> str:
    """Return the query that reads or exports a table, with columns in the order of tables.yaml."""
    names = ", ".join(quoted(column.name) for column in table.columns)
    return f"SELECT {names} FROM {quoted(table.name)} ORDER BY {quoted(table.key)}"


def _rows(database: Database, table: RawTable) -> Iterator[Sequence[object]]:
    with database.connect() as connection:
        _check_columns(connection, table, database.where)
        yield from connection.execution_options(yield_per=BATCH).exec_driver_sql(select(table))


def _check_columns(connection: Connection, table: RawTable, where: str) -> None:
    """Raise SchemaError for missing columns; warn of columns that are not extracted."""
    present = list(connection.exec_driver_sql(f"SELECT * FROM {quoted(table.name)} LIMIT 0").keys())
    expected = [column.name for column in table.columns]
    missing = [name for name in expected if name not in present]
    if missing:
        raise SchemaError(
            f"{where}: the table {table.name} lacks the column {', '.join(missing)}"
            f" (it has {', '.join(present)}); correct tables.yaml."
        )
    for name in present:
        if name not in expected:
            log.warning("%s: %s.%s is not extracted; add it in tables.yaml.", where, table.name, name)
