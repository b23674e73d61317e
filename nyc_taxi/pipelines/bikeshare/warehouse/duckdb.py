"""The embedded warehouse: a schema of its own in the file that holds the trips."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nyc_taxi.errors import DestinationError
from nyc_taxi.load.contract import Run
from nyc_taxi.load.warehouse.duckdb.client import PATIENCE, opened
from nyc_taxi.load.warehouse.duckdb.load import DuckDb
from nyc_taxi.pipelines.bikeshare.warehouse.base import Test
from nyc_taxi.schema import Column
from nyc_taxi.schema.sql import comment, literal, quoted
from nyc_taxi.schema.tables import DUCKDB_TYPES, Table, column_types, missing


class DuckDbWarehouse:
    """A Warehouse in a DuckDB file."""

    def __init__(self, schema: str) -> None:
        self._file = DuckDb().file
        self._schema = schema
        self._known: set[str] = set()

    def describe(self) -> str:
        """See Warehouse."""
        return f"DuckDB file {self._file}, schema {self._schema}"

    def qualified(self, name: str) -> str:
        """See Warehouse."""
        return f"{quoted(self._schema)}.{quoted(name)}"

    def create(self, tables: Sequence[Table]) -> None:
        """See Warehouse."""
        there = self._columns()
        statements: list[str | Test] = []
        for table in tables:
            statements += self._missing(table, there.get(table.name, {}))
        if statements:
            self.transact([f"CREATE SCHEMA IF NOT EXISTS {quoted(self._schema)}", *statements], {})

    def has(self, name: str) -> bool:
        """See Warehouse."""
        if name not in self._known:
            self._known = set(self._columns())
        return name in self._known

    @contextlib.contextmanager
    def staged(self, table: Table, path: Path) -> Iterator[str]:
        """See Warehouse: DuckDB reads the file where it lies."""
        yield f"read_parquet({literal(str(path))})"

    def transact(
        self, statements: Sequence[str | Test], values: Mapping[str, Any], run: Run | None = None
    ) -> None:
        """See Warehouse."""
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DestinationError(
                f"{self._file.parent} cannot be made ({error.strerror}): set DUCKDB_DATABASE."
            ) from None
        with opened(self._file, read_only=False, patience=PATIENCE) as connection:
            connection.begin()
            for statement in statements:
                connection.execute(*_prepared(statement, values))
            connection.commit()

    def rows(self, query: str, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        """See Warehouse."""
        if not self._file.exists():
            return []
        with opened(self._file, read_only=True, patience=PATIENCE) as connection:
            found = connection.execute(*_prepared(query, values))
            names = [column[0] for column in found.description or []]
            return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def _missing(self, table: Table, there: Mapping[str, str]) -> list[str]:
        """Statements that make the table, or the columns it lacks."""
        name = self.qualified(table.name)
        if there:
            wanted = column_types(table.columns, DUCKDB_TYPES)
            lacking = missing(wanted, there, f"{self._schema}.{table.name}")
            added = [f"ALTER TABLE {name} ADD COLUMN {quoted(new)} {kind}" for new, kind in lacking.items()]
            return added + [_comment(name, c) for c in table.columns if c.name in lacking]
        lines = [f"{quoted(key.name)} {DUCKDB_TYPES[key.type]} NOT NULL" for key in table.keys]
        lines += [f"{quoted(column.name)} {DUCKDB_TYPES[column.type]}" for column in table.columns]
        return [
            f"CREATE TABLE IF NOT EXISTS {name} ({', '.join(lines)})",
            f"COMMENT ON TABLE {name} IS {literal(table.description)}",
            *(_comment(name, column) for column in (*table.keys, *table.columns)),
        ]

    def _columns(self) -> dict[str, dict[str, str]]:
        """The types of all columns by name, by table."""
        found = self.rows(
            "SELECT table_name, column_name, data_type FROM duckdb_columns()"
            " WHERE database_name = current_database() AND schema_name = @schema",
            {"schema": self._schema},
        )
        columns: dict[str, dict[str, str]] = {}
        for row in found:
            columns.setdefault(row["table_name"], {})[row["column_name"]] = row["data_type"]
        return columns


def _comment(table: str, column: Column) -> str:
    return f"COMMENT ON COLUMN {table}.{quoted(column.name)} IS {literal(comment(column))}"


def _prepared(statement: str | Test, values: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """A statement with its parameters as DuckDB writes them, and no others."""
    if isinstance(statement, Test):
        statement = f"SELECT CASE WHEN NOT ({statement.condition}) THEN error({literal(statement.says)}) END"
    used = {name: value for name, value in values.items() if re.search(rf"@{name}\b", statement)}
    for name in used:
        statement = re.sub(rf"@{name}\b", f"${name}", statement)
    return statement, used
