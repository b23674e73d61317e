"""A user's query against Postgres, the DuckDB file or the workspace; it reads the tables and nothing else."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from nyc_taxi.errors import QueryTimeout, SettingsError, TaxiError, one_line
from nyc_taxi.extras import require_extra
from nyc_taxi.load.warehouse.duckdb.client import MEMORY_LIMIT
from nyc_taxi.load.warehouse.duckdb.load import SCHEMA, DuckDb
from nyc_taxi.reporting.query_result import Result, temporary_folder
from nyc_taxi.reporting.workspace_tables import create_tables
from nyc_taxi.schema.sql import literal, quoted
from nyc_taxi.settings import Settings

DATABASES = ("workspace", "postgres", "duckdb")


def default_database(settings: Settings) -> str:
    """The database that is configured, else the workspace's files."""
    names = {"POSTGRES_HOST": "postgres", "DUCKDB_DATABASE": "duckdb"}
    return next((name for key, name in names.items() if key in settings.connections), "workspace")


_SIDE_EFFECTS = re.compile(r"(?i)\b((enable|disable)_(logging|profiling)|truncate_duckdb_logs)\b")
"""Functions that write files: `_lock` keeps DuckDB from doing so, but it may abort the process then."""


@dataclass(frozen=True)
class _Limits:
    timeout: float
    """Seconds."""
    rows: int | None
    generated: bool


@contextlib.contextmanager
def query(
    sql: str,
    settings: Settings,
    *,
    on: str = "",
    timeout: float = 600,
    rows: int | None = None,
    generated: bool = False,
) -> Iterator[Result]:
    """Run one SELECT on a database, which it can only read.

    `on`: one of DATABASES, by default that which is configured. `timeout`: seconds for the query and for
    reading its result. `rows`: how many will be read at most, by default all.
    `generated`: whether the workspace's tables include generated months.

    Raises TaxiError with what the database says about the query, in one sentence.
    """
    name = on or default_database(settings)
    if name not in DATABASES:
        raise SettingsError(f"database {name!r} is not known: use one of {', '.join(DATABASES)}.")
    opened = {"workspace": _on_workspace, "postgres": _on_postgres, "duckdb": _on_duckdb}[name]
    with (
        temporary_folder() as folder,
        opened(sql, settings, _Limits(timeout, rows, generated), folder) as (connection, left),
        _refusals(name, timeout),
    ):
        timer = threading.Timer(left, connection.interrupt)
        timer.daemon = True
        timer.start()
        try:
            yield Result(connection, folder)
        finally:
            timer.cancel()


@contextlib.contextmanager
def rows_as_result(rows: pa.RecordBatchReader) -> Iterator[Result]:
    """Arrow batches as a result."""
    with temporary_folder() as folder, _in_memory(1, folder) as connection, _refusals("DuckDB"):
        connection.register("result", rows)
        yield Result(connection, folder)


_Opened: TypeAlias = Iterator[tuple[duckdb.DuckDBPyConnection, float]]
"""A connection that has the relation `result`, and the seconds that are left for reading it."""


@contextlib.contextmanager
def _on_workspace(sql: str, settings: Settings, limits: _Limits, folder: Path) -> _Opened:
    with _in_memory(settings.threads, folder) as connection:
        files = create_tables(connection, settings, limits.generated, sql)
        _lock(connection, folder, files)
        with _refusals("workspace", limits.timeout):
            _define_result(connection, sql)
        yield connection, limits.timeout


@contextlib.contextmanager
def _on_duckdb(sql: str, settings: Settings, limits: _Limits, folder: Path) -> _Opened:
    destination = DuckDb.from_settings(settings)
    if not destination.file.exists():
        raise TaxiError(f"{destination.file} does not exist: load a month into duckdb first.")
    with destination.engine.session(read_only=True) as session:
        _lock(session.connection, folder)
        with _refusals("duckdb", limits.timeout):
            _define_result(session.connection, sql)
        yield session.connection, limits.timeout


@contextlib.contextmanager
def _on_postgres(sql: str, settings: Settings, limits: _Limits, folder: Path) -> _Opened:
    require_extra("postgres", "Postgres")
    from nyc_taxi.load.postgres.config import PostgresConfig
    from nyc_taxi.load.postgres.query import UNSCALED, stream

    started = time.monotonic()
    # on disk, so that the server is done with it, and a failure is the server's own
    path = folder / "result.parquet"
    with stream(PostgresConfig.from_settings(settings), sql, limits.timeout) as (schema, batches):
        count = 0
        with pq.ParquetWriter(path, schema, compression="lz4") as writer:
            for batch in batches:
                writer.write_batch(batch)
                count += len(batch)
                if limits.rows is not None and count >= limits.rows:
                    break
    with _in_memory(1, folder) as connection:
        connection.execute(f"CREATE TEMP VIEW stored AS FROM read_parquet({literal(str(path))})")
        numbers = [quoted(field.name) for field in schema if (field.metadata or {}).keys() & UNSCALED.keys()]
        typed = ", ".join(f"CAST({name} AS {_number_type(connection, name)}) AS {name}" for name in numbers)
        replace = f"REPLACE ({typed})" if typed else ""
        connection.execute(f"CREATE TEMP VIEW result AS SELECT * {replace} FROM stored")
        yield connection, max(1.0, limits.timeout - (time.monotonic() - started))


def _number_type(connection: duckdb.DuckDBPyConnection, name: str) -> str:
    """The type for a column of numbers without a declared scale, which are text as yet.

    The server gives sums of integers without a point, and means with one.
    """
    whole, digits = connection.sql(
        f"SELECT bool_and(regexp_full_match({name}, '-?[0-9]+')), max(length(ltrim({name}, '-'))) FROM stored"
    ).fetchall()[0]
    if not whole:
        return "DOUBLE"
    return "BIGINT" if digits <= 18 else "DECIMAL(38, 0)" if digits <= 38 else "VARCHAR"


@contextlib.contextmanager
def _in_memory(threads: int, folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database without a file; one thread keeps the order of Arrow batches."""
    # what is ordered stays so; to keep the order of files, too, DuckDB would collect rows in memory
    options: Any = {"memory_limit": MEMORY_LIMIT, "threads": threads, "preserve_insertion_order": False}
    with contextlib.closing(duckdb.connect(config=options)) as connection:
        connection.execute(f"SET temp_directory = {literal(str(folder))}; SET TimeZone = 'UTC'")
        yield connection


def _lock(connection: duckdb.DuckDBPyConnection, folder: Path, files: Iterable[Path] = ()) -> None:
    """Keep a query to the files of its tables: SELECTs can read, write and replace files with functions."""
    paths = ", ".join(literal(str(file)) for file in files)
    connection.execute(
        f"""
        SET temp_directory = {literal(str(folder))};
        SET allowed_directories = [{literal(str(folder))}];
        SET allowed_paths = [{paths}];
        SET python_enable_replacements = false;
        SET autoinstall_known_extensions = false;
        SET enable_external_access = false;
        SET lock_configuration = true
        """
    )


@contextlib.contextmanager
def _refusals(database: str, timeout: float = 0) -> Iterator[None]:
    """Turn what DuckDB says about a query into one sentence of a TaxiError."""
    try:
        yield
    except duckdb.InterruptException:
        raise QueryTimeout(timeout) from None
    except duckdb.Error as error:
        message = str(error).split("\n\n")[0]  # what follows quotes the query
        raise TaxiError(f"{database} refuses the query: {one_line(message)}.") from None


def _define_result(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    """Make `result` stand for the query; raises TaxiError unless it is one SELECT."""
    statements = connection.extract_statements(sql)
    if [statement.type for statement in statements] != [duckdb.StatementType.SELECT]:
        raise TaxiError("the query is not one SELECT, and nothing else runs here.")
    if name := _SIDE_EFFECTS.search(sql):
        raise TaxiError(f"the query calls {name[0]}, which does more than read, and nothing else runs here.")
    connection.execute(f"SET search_path = {literal(SCHEMA)}")
    connection.execute(f"CREATE TEMP VIEW result AS FROM (\n{_without_semicolon(statements[0].query)}\n)")


def _without_semicolon(sql: str) -> str:
    """A statement without the semicolons at its end, and the comments after them."""
    text = sql.encode()
    for position, _ in reversed(duckdb.tokenize(sql)):  # positions are bytes, and comments no tokens
        if text[position : position + 1] != b";":
            break
        text = text[:position]
    return text.decode()
