"""An open connection to one schema of the file."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from typing import Any

import duckdb

from nyc_taxi.load.warehouse.engine import Assertion, Statement
from nyc_taxi.schema.sql import literal, quoted

_NO_VALUES: Mapping[str, Any] = {}


class DuckDbSession:
    """A Reader of one schema, which can also change it."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, schema: str) -> None:
        self.connection = connection
        self.schema = schema

    def qualified(self, name: str) -> str:
        """See Reader."""
        return f"{quoted(self.schema)}.{quoted(name)}"

    def rows(self, query: str, values: Mapping[str, Any], optional: str = "") -> list[dict[str, Any]]:
        """See Reader."""
        if optional and not self.columns(optional):
            return []
        result = self.execute(query, values)
        names = [column[0] for column in result.description or []]
        return [dict(zip(names, row, strict=True)) for row in result.fetchall()]

    def execute(
        self, statement: Statement, values: Mapping[str, Any] = _NO_VALUES
    ) -> duckdb.DuckDBPyConnection:
        """Run a statement; raises duckdb.Error, also for an assertion that does not hold."""
        return self.connection.execute(_rendered(statement, values))

    def columns(self, table: str) -> dict[str, str]:
        """The types of a table's columns by name, in order; empty when there is no such table."""
        rows = self.connection.execute(
            "SELECT column_name, data_type FROM duckdb_columns()"
            " WHERE database_name = current_database() AND schema_name = "
            f"{literal(self.schema)} AND table_name = {literal(table)} ORDER BY column_index"
        )
        return dict(rows.fetchall())


def _rendered(statement: Statement, values: Mapping[str, Any]) -> str:
    """A statement with its parameters as literals.

    They are not bound: when DuckDB binds the first one it imports pandas, half a second and 60 MB.
    """
    if isinstance(statement, Assertion):
        message = literal(statement.message)
        statement = f"SELECT CASE WHEN NOT ({statement.condition}) THEN error({message}) END"
    if not values:
        return statement
    parameter = re.compile(rf"@({'|'.join(map(re.escape, values))})\b")
    return parameter.sub(lambda match: _literal(values[match[1]]), statement)


def _literal(value: object) -> str:
    match value:
        case None:
            return "NULL"
        case dt.datetime():
            return f"TIMESTAMPTZ '{value.isoformat()}'"
        case dt.date():
            return f"DATE '{value}'"
        case int():
            return str(value)
        case str():
            return literal(value)
    raise TypeError(f"no literal for {value!r}")
