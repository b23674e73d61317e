"""A user's query against Postgres, the DuckDB file or the workspace; its result shown or written.

DuckDB reads every result as it is shown or written, so that memory is bounded however many rows there are.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from nyc_taxi.errors import SettingsError, TaxiError, one_line
from nyc_taxi.extras import require_extra
from nyc_taxi.load.warehouse.duckdb.client import MEMORY_LIMIT
from nyc_taxi.load.warehouse.duckdb.load import SCHEMA, DuckDb
from nyc_taxi.reporting.workspace_tables import create_tables
from nyc_taxi.schema.sql import literal
from nyc_taxi.settings import Settings

DATABASES = ("workspace", "postgres", "duckdb")

FORMATS = {
    "csv": "FORMAT csv, HEADER",
    "csv.gz": "FORMAT csv, HEADER, COMPRESSION gzip",
    "json": "FORMAT json, ARRAY true",
    "parquet": "FORMAT parquet, COMPRESSION zstd",
}
"""DuckDB's options of COPY by format, which is the ending of the file too."""


def parse_format(name: str, file: str = "") -> str:
    """The format that is named, else that of the file's ending; raises SettingsError for others."""
    form = name or next((each for each in FORMATS if file.endswith(f".{each}")), "")
    if form not in FORMATS:
        what = f"the format {name!r}" if name else f"the ending of {file}"
        raise SettingsError(f"{what} is not known: use one of {', '.join(FORMATS)}.")
    return form


def default_database(settings: Settings) -> str:
    """The database that is configured, else the workspace's files."""
    names = {"POSTGRES_HOST": "postgres", "DUCKDB_DATABASE": "duckdb"}
    return next((name for key, name in names.items() if key in settings.connections), "workspace")


@dataclass(frozen=True)
class Result:
    """The rows of a query, as the relation `result` of a connection; they can be read once."""

    connection: duckdb.DuckDBPyConnection

    def show(self, rows: int, width: int) -> bool:
        """Print the first rows as a table that is at most so many characters wide; whether there are more."""
        first = self.connection.sql(f"FROM result LIMIT {rows + 1}").to_arrow_table()
        duckdb.from_arrow(first.slice(0, rows), connection=self.connection).show(
            max_width=width, max_rows=rows
        )
        return len(first) > rows

    def arrow(self) -> pa.Table:
        """All rows, in memory."""
        return self.connection.sql("FROM result").to_arrow_table()

    def write(self, form: str, path: Path) -> None:
        """Write all rows into a file, whole or not at all."""
        part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
        try:
            part.touch()
            self._copy(form, part)
            part.replace(path)
        except OSError as error:
            raise TaxiError(f"{path}: cannot be written ({error.strerror}).") from None
        finally:
            part.unlink(missing_ok=True)

    def print(self, form: str) -> None:
        """Write all rows to the standard output; raises BrokenPipeError when nobody reads it any more."""
        reading, writing = os.pipe()  # DuckDB would open /dev/stdout anew, and overwrite what >> appends to
        failure: duckdb.Error | None = None
        with ThreadPoolExecutor(1) as pool:
            copied = pool.submit(_copy_out, reading)
            try:
                self._copy(form, Path(f"/dev/fd/{writing}"))
            except duckdb.Error as error:
                failure = error
            finally:
                os.close(writing)
        copied.result()  # raises what has closed the pipe and so failed the COPY
        if failure:
            raise failure

    def _copy(self, form: str, target: Path) -> None:
        self.connection.execute(f"COPY (FROM result) TO {literal(str(target))} ({FORMATS[form]})")


def _copy_out(reading: int) -> None:
    with os.fdopen(reading, "rb") as pipe:  # once it is closed, DuckDB cannot write on
        shutil.copyfileobj(pipe, sys.stdout.buffer)
        sys.stdout.buffer.flush()


@dataclass(frozen=True)
class _Limits:
    timeout: float
    """Seconds."""
    rows: int | None


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
    with opened(sql, settings, _Limits(timeout, rows), generated) as connection, _refusals(name, timeout):
        timer = threading.Timer(timeout, connection.interrupt)
        timer.daemon = True
        timer.start()
        try:
            yield Result(connection)
        finally:
            timer.cancel()


@contextlib.contextmanager
def rows_as_result(rows: pa.RecordBatchReader) -> Iterator[Result]:
    """Arrow batches as a result."""
    with _in_memory(threads=1) as connection, _refusals("DuckDB"):
        connection.register("result", rows)
        yield Result(connection)


@contextlib.contextmanager
def _on_workspace(
    sql: str, settings: Settings, limits: _Limits, generated: bool
) -> Iterator[duckdb.DuckDBPyConnection]:
    with _in_memory(settings.threads) as connection:
        create_tables(connection, settings, generated, sql)
        with _refusals("workspace", limits.timeout):
            _define_result(connection, sql)
        yield connection


@contextlib.contextmanager
def _on_duckdb(
    sql: str, settings: Settings, limits: _Limits, _generated: bool
) -> Iterator[duckdb.DuckDBPyConnection]:
    destination = DuckDb.from_settings(settings)
    if not destination.file.exists():
        raise TaxiError(f"{destination.file} does not exist: load a month into duckdb first.")
    with destination.engine.session(read_only=True) as session:
        with _refusals("duckdb", limits.timeout):
            _define_result(session.connection, sql)
        yield session.connection


@contextlib.contextmanager
def _on_postgres(
    sql: str, settings: Settings, limits: _Limits, _generated: bool
) -> Iterator[duckdb.DuckDBPyConnection]:
    require_extra("postgres", "Postgres")
    from nyc_taxi.load.postgres.config import PostgresConfig
    from nyc_taxi.load.postgres.query import stream

    with _in_memory(threads=1) as connection, tempfile.TemporaryDirectory(prefix="nyc-taxi-") as folder:
        # on disk, so that the server is done with it, and a failure is the server's own
        path = Path(folder) / "result.parquet"
        with stream(PostgresConfig.from_settings(settings), sql, limits.timeout) as (schema, batches):
            count = 0
            with pq.ParquetWriter(path, schema, compression="lz4") as writer:
                for batch in batches:
                    writer.write_batch(batch)
                    count += len(batch)
                    if limits.rows is not None and count >= limits.rows:
                        break
        connection.execute(f"CREATE TEMP VIEW result AS FROM read_parquet({literal(str(path))})")
        yield connection


@contextlib.contextmanager
def _in_memory(threads: int) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database without a file; one thread keeps the order of Arrow batches."""
    # what is ordered stays so; to keep the order of files, too, DuckDB would collect rows in memory
    options: Any = {"memory_limit": MEMORY_LIMIT, "threads": threads, "preserve_insertion_order": False}
    with (
        tempfile.TemporaryDirectory(prefix="nyc-taxi-") as folder,
        contextlib.closing(duckdb.connect(config=options)) as connection,
    ):
        connection.execute(f"SET temp_directory = {literal(folder)}; SET TimeZone = 'UTC'")
        yield connection


@contextlib.contextmanager
def _refusals(database: str, timeout: float = 0) -> Iterator[None]:
    """Turn what DuckDB says about a query into one sentence of a TaxiError."""
    try:
        yield
    except duckdb.InterruptException:
        raise TaxiError(
            f"the query took longer than {timeout:g} s: raise --timeout, or ask for less."
        ) from None
    except duckdb.Error as error:
        message = str(error).split("\n\n")[0]  # what follows quotes the query
        raise TaxiError(f"{database} refuses the query: {one_line(message)}.") from None


def _define_result(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    """Make `result` stand for the query; raises TaxiError unless it is one SELECT."""
    statements = connection.extract_statements(sql)
    if [statement.type for statement in statements] != [duckdb.StatementType.SELECT]:
        raise TaxiError("the query is not one SELECT, and nothing else runs here.")
    text = statements[0].query.strip().rstrip(";")
    connection.execute(f"SET search_path = {literal(SCHEMA)}")
    connection.execute(f"CREATE TEMP VIEW result AS FROM (\n{text}\n)")
