"""One month in place of another, in one transaction.

Each service has one table. A month's rows lie together in row groups of their own, so deleting them
touches no other month, and the space is used again by what is loaded next: with six months of 600,000
trips the file had 99 MB, and 114 MB after each of them was replaced three times.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import duckdb

from nyc_taxi.errors import DestinationError
from nyc_taxi.load.contract import LedgerEntry, Progress, Run, refuse_sample
from nyc_taxi.load.warehouse.duckdb import ledger, tables
from nyc_taxi.load.warehouse.record import footer, record
from nyc_taxi.model.references import MonthFiles
from nyc_taxi.schema.sql import literal, quoted
from nyc_taxi.schema.tables import DUCKDB_TYPES, QUALITY_TABLE, Table, file_types, quarantine, trips


def replace_month(
    connection: duckdb.DuckDBPyConnection, files: MonthFiles, run: Run, progress: Progress | None
) -> LedgerEntry:
    """Load the month and record it, or find that it is recorded already.

    Raises DestinationError when the rows are not as many as the month says, SchemaError for a column
    whose type is not the table's; the caller then closes the connection, which undoes everything.
    """
    started = dt.datetime.now(dt.UTC)
    connection.begin()
    tables.create(connection)
    entry = ledger.current(connection, files.service, files.month)
    if entry is not None and entry.version == files.version:
        return entry
    refuse_sample(files, entry, "duckdb")
    trip_rows = _replace(connection, trips(files.service), files, files.trips_path)
    if progress:
        progress(trip_rows, files.rows_in)
    quarantined = _replace(connection, quarantine(files.service), files, files.quarantine_path)
    _replace(connection, QUALITY_TABLE, files, files.quality_path)
    if (trip_rows, quarantined) != (files.trips, files.rows_quarantined):
        raise DestinationError(
            f"{files.folder}: holds {trip_rows:,} trips and {quarantined:,} quarantined rows instead of"
            f" {files.trips:,} and {files.rows_quarantined:,}: make the month again."
        )
    entry = record(files, run, started)
    ledger.add(connection, entry)
    connection.commit()  # DuckDB frees the deleted rows' space when the connection closes
    if progress:
        progress(files.rows_in, files.rows_in)
    return entry


def _replace(connection: duckdb.DuckDBPyConnection, table: Table, files: MonthFiles, path: Path) -> int:
    """Delete the month from a table and insert the file's rows; returns how many."""
    what = f"{path.name} of {files.service} {files.month}"
    of_file = file_types(footer(path).schema.to_arrow_schema(), DUCKDB_TYPES, what)
    tables.add_missing(connection, table, of_file)
    values = {"service": literal(files.service), "month": f"DATE '{files.month.first_day}'"}
    keys = {key.name: values[key.name] for key in table.keys}
    where = " AND ".join(f"{name} = {value}" for name, value in keys.items())
    connection.execute(f"DELETE FROM {tables.qualified(table.name)} WHERE {where}")
    own = ", ".join(quoted(name) for name in of_file)
    inserted = connection.execute(
        f"INSERT INTO {tables.qualified(table.name)} ({', '.join(keys)}, {own})"
        f" SELECT {', '.join(keys.values())}, {own}"
        # folders of the workspace are named as `version=...`: a column of that name is the file's own
        f" FROM read_parquet({literal(str(path))}, hive_partitioning = false)"
    ).fetchone()
    return int(inserted[0]) if inserted else 0
