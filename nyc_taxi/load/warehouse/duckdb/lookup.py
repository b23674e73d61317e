"""Small tables that trips refer to."""

from __future__ import annotations

from nyc_taxi.load.contract import Lookup
from nyc_taxi.load.warehouse.duckdb.session import DuckDbSession
from nyc_taxi.load.warehouse.duckdb.tables import column_comment, refresh_views
from nyc_taxi.schema.sql import comment, literal, quoted
from nyc_taxi.schema.tables import DUCKDB_TYPES


def replace_lookup(session: DuckDbSession, lookup: Lookup) -> None:
    """Make the table equal to the rows."""
    connection, table = session.connection, session.qualified(lookup.name)
    columns = [
        f"{quoted(column.name)} {DUCKDB_TYPES[column.type]}{' PRIMARY KEY' * (column.name == lookup.key)}"
        for column in lookup.columns
    ]
    connection.register("lookup_rows", lookup.rows)
    connection.execute("BEGIN")
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(session.schema)}")
    connection.execute(f"CREATE OR REPLACE TABLE {table} ({', '.join(columns)})")
    connection.execute(f"INSERT INTO {table} BY NAME SELECT * FROM lookup_rows")
    connection.execute(f"COMMENT ON TABLE {table} IS {literal(lookup.description)}")
    for column in lookup.columns:
        connection.execute(column_comment(table, column.name, comment(column)))
    refresh_views(session)
    connection.execute("COMMIT")
