"""The tables of earlier versions brought to the schema, in one transaction."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import duckdb

from nyc_taxi.load.migration import Migration, only_in, plan
from nyc_taxi.load.warehouse.duckdb.replace import create_missing
from nyc_taxi.load.warehouse.duckdb.session import DuckDbSession
from nyc_taxi.load.warehouse.duckdb.tables import add_column
from nyc_taxi.schema.sql import quoted
from nyc_taxi.schema.tables import DUCKDB_TYPES


def migrate(session: DuckDbSession, dry_run: bool) -> list[Migration]:
    """Plan the steps and, unless it is a dry run, take them and create the views anew."""
    steps = plan(_Tables(session))
    if any(step.statements for step in steps) and not dry_run:
        session.connection.begin()
        for step in steps:
            for statement in step.statements:
                session.execute(statement)
        create_missing(session)
        session.connection.commit()
    return steps


class _Tables:
    """See nyc_taxi.load.migration.Existing."""

    types: Mapping[str, str] = DUCKDB_TYPES

    def __init__(self, session: DuckDbSession) -> None:
        self._session = session

    def columns(self, table: str) -> dict[str, str]:
        return self._session.columns(table)

    def converts(self, table: str, column: str, old: str, new: str) -> bool:
        name = quoted(column)
        changed = f"TRY_CAST(TRY_CAST({name} AS {new}) AS {old}) IS DISTINCT FROM {name}"
        try:
            rows = self._session.rows(f"SELECT 1 FROM {self._name(table)} WHERE {changed} LIMIT 1", {})
        except duckdb.Error:  # there is no such cast
            return False
        return not rows

    def months_with(self, table: str, column: str, instead_of: str | None = None) -> list[dt.date]:
        only = only_in(column, instead_of)
        query = f"SELECT DISTINCT month FROM {self._name(table)} WHERE {only} ORDER BY 1"
        return [row["month"] for row in self._session.rows(query, {})]

    def add(self, table: str, column: str, kind: str, description: str) -> list[str]:
        return add_column(self._name(table), column, kind, description)

    def convert(self, table: str, column: str, kind: str) -> list[str]:
        return [f"ALTER TABLE {self._name(table)} ALTER COLUMN {quoted(column)} TYPE {kind}"]

    def rename(self, table: str, column: str, new: str) -> list[str]:
        return [f"ALTER TABLE {self._name(table)} RENAME COLUMN {quoted(column)} TO {quoted(new)}"]

    def _name(self, table: str) -> str:
        return self._session.qualified(table)
