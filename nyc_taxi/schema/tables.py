"""The tables of a warehouse (BigQuery, DuckDB), derived from the canonical columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nyc_taxi.errors import SchemaError
from nyc_taxi.model.months import Service
from nyc_taxi.schema import QUALITY, QUARANTINE, Column, trip_columns
from nyc_taxi.schema.sql import CHANGE_TYPE, MONTH, SERVICE

if TYPE_CHECKING:
    import pyarrow as pa

BIGQUERY_TYPES: dict[str, str] = {
    "int16": "INT64",
    "int32": "INT64",
    "int64": "INT64",
    "float64": "FLOAT64",
    "string": "STRING",
    "date": "DATE",
    "timestamp": "DATETIME",  # without a zone: TIMESTAMP would call New York time UTC
    "instant": "TIMESTAMP",
    "bool": "BOOL",
    "strings": "ARRAY<STRING>",
}
"""GoogleSQL type by key of ARROW_TYPES; `instant` is a point in time in UTC, used by the ledger only."""

DUCKDB_TYPES: dict[str, str] = {
    "int16": "SMALLINT",
    "int32": "INTEGER",
    "int64": "BIGINT",
    "float64": "DOUBLE",
    "string": "VARCHAR",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
    "instant": "TIMESTAMP WITH TIME ZONE",
    "bool": "BOOLEAN",
    "strings": "VARCHAR[]",
}
"""DuckDB type by key of ARROW_TYPES, and for `instant`, spelled as in DuckDB's catalog."""

LEDGER = (
    Column("id", "int64", "Grows with every load; the greatest of a service and month is the one in force."),
    SERVICE,
    MONTH,
    Column("version", "string", "Names the month's content: source file, rules and the code that cleans."),
    Column("source_url", "string", "Where the file came from."),
    Column("source_etag", "string", "The source's ETag of the file; empty when it gave none."),
    Column("source_sha256", "string", "SHA-256 of the file; source_version in rows is its first 12 digits."),
    Column("rows_in", "int64", "Rows in the file: rows_loaded + rows_quarantined."),
    Column("rows_loaded", "int64", "Rows in the trips table."),
    Column("rows_quarantined", "int64", "Rows in the quarantine table."),
    Column("schema_version", "int64", "Version of the canonical columns."),
    Column("package_version", "string", "Version of nyc_taxi that loaded."),
    Column("started_at", "instant", "When the load began."),
    Column("finished_at", "instant", "When the month was about to become visible."),
    Column("run_id", "string", "The run that loaded, as its orchestrator names it."),
    Column("orchestrator", "string", "Who ran it: cli, mage or airflow."),
    Column("rules", "string", "Fingerprint of the rules by which the month was cleaned."),
    Column("accepted", "string", "What was implausible about the month, if it was loaded with --accept."),
    Column("transform", "string", "Function of the project that was applied to the trips, if there was one."),
    Column("destinations", "string", "Destinations that the run was limited to; empty if it was not."),
    Column("action", "string", "load, or delete for a month deleted on purpose; empty (load) before 0.2.0."),
)
"""One row per load or deletion: a `nyc_taxi.model.ledger.LedgerEntry` and the id that orders loads."""


@dataclass(frozen=True)
class Table:
    """A table that every warehouse has."""

    name: str
    description: str
    keys: tuple[Column, ...]
    """Leading columns that are never null; the files lack them."""
    columns: tuple[Column, ...]
    clustering: tuple[str, ...] = ()
    """The columns that order the rows of a partition, where the warehouse supports it."""


TRIPS_CLUSTERING = ("pickup_location_id", "dropoff_location_id", "pickup_datetime")
"""Analysts filter by zones and by days; if the time came first, zones would never order the rows."""


def trips(service: Service) -> Table:
    """Return the table of a service's trips."""
    columns = trip_columns(service)
    has_all = {column.name for column in columns}.issuperset(TRIPS_CLUSTERING)
    clustering = TRIPS_CLUSTERING if has_all else ()
    return Table(f"trips_{service}", f"Trips of {service}.", (MONTH,), columns, clustering)


def quarantine(service: Service) -> Table:
    """Return the table of a service's quarantined rows."""
    text = f"Rows of {service} files that are not trips, with the reasons."
    return Table(f"quarantine_{service}", text, (MONTH,), QUARANTINE)


QUALITY_TABLE = Table(
    "quality", "Figures on each month: rows by rule, nulls by column, ...", (SERVICE, MONTH), QUALITY
)


def month_tables(service: Service) -> dict[str, Table]:
    """The tables that a month fills, by the names of its Parquet files without their ending."""
    return {"trips": trips(service), "quarantine": quarantine(service), "quality": QUALITY_TABLE}


LEDGER_TABLE = Table(
    "ledger", "Every load and deletion of a month, in order; rows are only ever added.", (), LEDGER
)


def all_tables() -> list[Table]:
    """Return the tables of all services; views that combine services need all of them to exist."""
    of_services = [table(service) for service in Service for table in (trips, quarantine)]
    return [*of_services, QUALITY_TABLE, LEDGER_TABLE]


def file_types(schema: pa.Schema, types: Mapping[str, str], file: str) -> dict[str, str]:
    """Return the database type of each column of a Parquet file; `types` is BIGQUERY_TYPES or DUCKDB_TYPES.

    Raises SchemaError naming a column of a type that no table supports.
    """
    from nyc_taxi.schema.arrow import ARROW_TYPES

    file_columns = {}
    for field in schema:
        key = next((key for key, arrow in ARROW_TYPES.items() if arrow.equals(field.type)), None)
        if key is None:
            raise SchemaError(
                f"{file}: the column {field.name} has type {field.type}, which no table supports."
            )
        file_columns[field.name] = types[key]
    return file_columns


def column_types(columns: Sequence[Column], types: Mapping[str, str]) -> dict[str, str]:
    """Return the database type of each canonical column."""
    return {column.name: types[column.type] for column in columns}


def missing(expected: Mapping[str, str], existing: Mapping[str, str], table: str) -> dict[str, str]:
    """Return the expected columns that a table lacks; raises SchemaError naming one of another type."""
    for name, kind in expected.items():
        if existing.get(name, kind) != kind:
            raise SchemaError(
                f"{table}: the column {name} is {existing[name]}, but {kind} in the month to be loaded: "
                f"{CHANGE_TYPE}."
            )
    return {name: kind for name, kind in expected.items() if name not in existing}
