"""Statements that create what a schema lacks: tables, columns and views, each with its comment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from nyc_taxi.load.views.definitions import OLDER_VIEWS, Dialect, readable, views, warn_of_foreign
from nyc_taxi.load.warehouse.duckdb.session import DuckDbSession
from nyc_taxi.schema.sql import comment, literal, quoted
from nyc_taxi.schema.tables import DUCKDB_TYPES, Table, column_types, missing

DIALECT = Dialect(
    DUCKDB_TYPES,
    cell=lambda key: f"CAST(raw AS JSON) ->> {literal(key)}",
    minutes="EXTRACT(EPOCH FROM dropoff_datetime - pickup_datetime) / 60",
)


def missing_tables(session: DuckDbSession, tables: Iterable[Table]) -> list[str]:
    """Create the tables and columns that are missing; raises SchemaError for a column of another type."""
    statements = []
    for table in tables:
        if session.columns(table.name):
            statements += missing_columns(session, table, {}, {})
        else:
            statements += _new_table(session, table)
    return [f"CREATE SCHEMA IF NOT EXISTS {quoted(session.schema)}", *statements] if statements else []


def missing_columns(
    session: DuckDbSession, table: Table, of_file: Mapping[str, str], descriptions: Mapping[str, str]
) -> list[str]:
    """Add the columns that a table lacks: new canonical ones, and what else the file has.

    Raises SchemaError naming a column of another type.
    """
    name = session.qualified(table.name)
    expected = column_types(table.columns, DUCKDB_TYPES) | dict(of_file)
    comments = {**descriptions, **{column.name: comment(column) for column in table.columns}}
    statements = []
    for column, kind in missing(expected, session.columns(table.name), table.name).items():
        text = comments.get(column, "Not known to the schema; as in the file.")
        statements += add_column(name, column, kind, text)
    return statements


def add_column(table: str, column: str, kind: str, text: str) -> list[str]:
    """ALTER TABLE and the column's comment; `table` is qualified."""
    return [f"ALTER TABLE {table} ADD COLUMN {quoted(column)} {kind}", column_comment(table, column, text)]


def refresh_views(session: DuckDbSession) -> None:
    """Create the views whose tables exist, or replace them: their text may have changed."""
    where = f"database_name = current_database() AND schema_name = {literal(session.schema)}"
    existing = session.execute(
        f"SELECT table_name, NULL, true FROM duckdb_tables() WHERE {where}"
        f" UNION ALL SELECT view_name, comment, false FROM duckdb_views() WHERE {where}"
    ).fetchall()
    comments = {name: (comment, is_table) for name, comment, is_table in existing}
    own = []
    for view in views(session.qualified, DIALECT):
        text, is_table = comments.get(view.name, (view.comment, False))
        if is_table or not (view.name in OLDER_VIEWS or view.is_comment(text)):
            warn_of_foreign(view.name, "DuckDB")
            del comments[view.name]
        else:
            own.append(view)
    for view in readable(own, comments):
        name = session.qualified(view.name)
        session.execute(f"CREATE OR REPLACE VIEW {name} AS {view.query}")
        session.execute(f"COMMENT ON VIEW {name} IS {literal(view.comment)}")


def column_comment(table: str, column: str, text: str) -> str:
    """COMMENT ON COLUMN."""
    return f"COMMENT ON COLUMN {table}.{quoted(column)} IS {literal(text)}"


def _new_table(session: DuckDbSession, table: Table) -> list[str]:
    name = session.qualified(table.name)
    lines = [f"{quoted(key.name)} {DUCKDB_TYPES[key.type]} NOT NULL" for key in table.keys]
    lines += [f"{quoted(column.name)} {DUCKDB_TYPES[column.type]}" for column in table.columns]
    return [
        f"CREATE TABLE IF NOT EXISTS {name} ({', '.join(lines)})",
        f"COMMENT ON TABLE {name} IS {literal(table.description)}",
        *(column_comment(name, column.name, comment(column)) for column in (*table.keys, *table.columns)),
    ]
