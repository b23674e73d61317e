"""Tables and views in the schema `taxi`, with a comment on each and on every column."""

from __future__ import annotations

import duckdb

from nyc_taxi.load.warehouse.views import View, views
from nyc_taxi.schema.sql import comment, literal, quoted
from nyc_taxi.schema.tables import DUCKDB_TYPES, Table, all_tables, column_types, missing

SCHEMA = "taxi"


def qualified(name: str) -> str:
    """A table or view as SQL writes it."""
    return f"{quoted(SCHEMA)}.{quoted(name)}"


def create(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the tables and columns that are missing, and the views anew: their text may have changed."""
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(SCHEMA)}")
    for table in all_tables():
        if columns(connection, table.name):
            add_missing(connection, table, {})
        else:
            _create_table(connection, table)
    for view in views(qualified):
        _create_view(connection, view)


def columns(connection: duckdb.DuckDBPyConnection, table: str) -> dict[str, str]:
    """The types of a table's columns by name, in order; empty when there is no such table."""
    rows = connection.execute(
        "SELECT column_name, data_type FROM duckdb_columns()"
        " WHERE database_name = current_database()"
        f" AND schema_name = {literal(SCHEMA)} AND table_name = {literal(table)} ORDER BY column_index"
    )
    return dict(rows.fetchall())


def add_missing(connection: duckdb.DuckDBPyConnection, table: Table, of_file: dict[str, str]) -> None:
    """Add the columns that the table lacks: new canonical ones, and what else the file has.

    Raises SchemaError naming a column whose type is another.
    """
    wanted = column_types(table.columns, DUCKDB_TYPES) | of_file
    for name, kind in missing(wanted, columns(connection, table.name), table.name).items():
        connection.execute(f"ALTER TABLE {qualified(table.name)} ADD COLUMN {quoted(name)} {kind}")
        described = next((comment(column) for column in table.columns if column.name == name), None)
        _comment_on_column(connection, table, name, described or "Not known to the schema; as in the file.")


def _create_table(connection: duckdb.DuckDBPyConnection, table: Table) -> None:
    lines = [f"{quoted(key.name)} {DUCKDB_TYPES[key.type]} NOT NULL" for key in table.keys]
    lines += [f"{quoted(column.name)} {DUCKDB_TYPES[column.type]}" for column in table.columns]
    connection.execute(f"CREATE TABLE {qualified(table.name)} ({', '.join(lines)})")
    connection.execute(f"COMMENT ON TABLE {qualified(table.name)} IS {literal(table.description)}")
    for column in (*table.keys, *table.columns):
        _comment_on_column(connection, table, column.name, comment(column))


def _create_view(connection: duckdb.DuckDBPyConnection, view: View) -> None:
    connection.execute(f"CREATE OR REPLACE VIEW {qualified(view.name)} AS {view.query}")
    connection.execute(f"COMMENT ON VIEW {qualified(view.name)} IS {literal(view.description)}")


def _comment_on_column(connection: duckdb.DuckDBPyConnection, table: Table, name: str, text: str) -> None:
    connection.execute(f"COMMENT ON COLUMN {qualified(table.name)}.{quoted(name)} IS {literal(text)}")
