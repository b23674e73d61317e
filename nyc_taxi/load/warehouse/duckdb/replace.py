"""One month in place of another, in one transaction.

Each service has one table. A month's rows lie together in row groups of their own, so deleting them
touches no other month, and the space is used again by what is loaded next: with six months of 600,000
trips the file had 99 MB, and 114 MB after each of them was replaced three times.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterator
from pathlib import Path

from nyc_taxi.load.contract import Progress, check_counts, new_entry, refuse_sample
from nyc_taxi.load.footer import footer
from nyc_taxi.load.warehouse import ledger
from nyc_taxi.load.warehouse.duckdb.client import LOAD_MEMORY_LIMIT, MEMORY_LIMIT
from nyc_taxi.load.warehouse.duckdb.session import DuckDbSession
from nyc_taxi.load.warehouse.duckdb.tables import missing_columns, missing_tables, refresh_views
from nyc_taxi.model.ledger import LedgerEntry
from nyc_taxi.model.references import MonthFiles
from nyc_taxi.model.run import Run
from nyc_taxi.schema import descriptions
from nyc_taxi.schema.sql import literal, quoted
from nyc_taxi.schema.tables import (
    DUCKDB_TYPES,
    QUALITY_TABLE,
    Table,
    all_tables,
    file_types,
    quarantine,
    trips,
)


@contextlib.contextmanager
def load_limits(session: DuckDbSession) -> Iterator[None]:
    """Set a load's limits, and the usual ones after it; after an error the caller closes the connection."""
    threads = session.rows("SELECT current_setting('threads') AS threads", {})[0]["threads"]
    # each thread holds a row group of the file and one of the table; a second one saves no time
    session.execute(f"SET threads = 1; SET memory_limit = '{LOAD_MEMORY_LIMIT}'")
    yield
    session.execute(f"SET threads = {threads}; SET memory_limit = '{MEMORY_LIMIT}'")


def replace_month(
    session: DuckDbSession,
    files: MonthFiles,
    run: Run,
    progress: Progress | None = None,
    damaged: LedgerEntry | None = None,
) -> LedgerEntry:
    """Load the month and record it, or find that it is recorded already.

    Raises DestinationError when the rows are not as many as the month says, SchemaError for a column
    whose type is not the table's; the caller then closes the connection, which undoes everything.
    """
    started = dt.datetime.now(dt.UTC)
    session.connection.begin()
    create_missing(session)
    entry = ledger.current(session, files.service, files.month)
    if entry is not None and entry.version == files.version and entry != damaged:
        return entry
    refuse_sample(files, entry, "duckdb")
    trip_rows = _replace(session, trips(files.service), files, files.trips_path)
    if progress:
        progress(trip_rows, files.rows_in)
    quarantined = _replace(session, quarantine(files.service), files, files.quarantine_path)
    _replace(session, QUALITY_TABLE, files, files.quality_path)
    check_counts(files, trip_rows, quarantined)
    entry = new_entry(files, run, started)
    session.execute(ledger.insert_statement(session), entry.to_row())
    session.connection.commit()  # DuckDB frees the deleted rows' space when the connection closes
    if progress:
        progress(files.rows_in, files.rows_in)
    return entry


def create_missing(session: DuckDbSession) -> None:
    """Create missing tables and columns, and all views anew."""
    for statement in missing_tables(session, all_tables()):
        session.execute(statement)
    refresh_views(session)


def _replace(session: DuckDbSession, table: Table, files: MonthFiles, path: Path) -> int:
    """Delete the month from a table and insert the file's rows; returns how many."""
    what = f"{path.name} of {files.service} {files.month}"
    schema = footer(path).schema.to_arrow_schema()
    of_file = file_types(schema, DUCKDB_TYPES, what)
    for statement in missing_columns(session, table, of_file, descriptions(schema)):
        session.execute(statement)
    values = {"service": literal(files.service), "month": f"DATE '{files.month.first_day}'"}
    keys = {key.name: values[key.name] for key in table.keys}
    where = " AND ".join(f"{name} = {value}" for name, value in keys.items())
    session.execute(f"DELETE FROM {session.qualified(table.name)} WHERE {where}")
    own = ", ".join(quoted(name) for name in of_file)
    inserted = session.execute(
        f"INSERT INTO {session.qualified(table.name)} ({', '.join(keys)}, {own})"
        f" SELECT {', '.join(keys.values())}, {own}"
        # folders of the workspace are named as `version=...`: a column of that name is the file's own
        f" FROM read_parquet({literal(str(path))}, hive_partitioning = false)"
    ).fetchone()
    return int(inserted[0]) if inserted else 0
