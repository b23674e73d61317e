"""The tables of earlier versions brought to the schema, in one transaction."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from sqlalchemy import text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from nyc_taxi.load.migration import Migration, plan
from nyc_taxi.load.postgres.client import execute
from nyc_taxi.load.postgres.errors import sqlstate
from nyc_taxi.load.postgres.locks import in_short_attempts
from nyc_taxi.load.postgres.tables import columns_of
from nyc_taxi.load.postgres.views import drop_views, refresh_views
from nyc_taxi.schema.sql import POSTGRES_TYPES, postgres_comment, quoted

_NOT_CONVERTIBLE = ("22", "42846", "0A000")
"""SQLSTATEs of values that a type does not hold, and of types that have no cast."""


def migrate(connection: Connection, schema: str, dry_run: bool) -> list[Migration]:
    """Plan the steps and, unless it is a dry run, take them; raises LockTimeout if readers do not leave."""
    steps = plan(_Tables(connection))
    if steps and not dry_run:
        statements = [statement for step in steps for statement in step.statements]

        def change() -> None:
            drop_views(connection)  # a column that a view reads keeps its type
            for statement in statements:
                execute(connection, statement)
            refresh_views(connection, schema)

        in_short_attempts(connection, "other sessions hold locks on the tables: migrate again later.", change)
    return steps


class _Tables:
    """See nyc_taxi.load.migration.Existing."""

    types: Mapping[str, str] = POSTGRES_TYPES

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def columns(self, table: str) -> dict[str, str]:
        return columns_of(self._connection, table)

    def converts(self, table: str, column: str, old: str, new: str) -> bool:
        name = quoted(column)
        changed = f"CAST(CAST({name} AS {new}) AS {old}) IS DISTINCT FROM {name}"
        try:
            with self._connection.begin_nested():
                query = text(f"SELECT NOT EXISTS (SELECT FROM {quoted(table)} WHERE {changed})")
                return bool(self._connection.scalar(query))
        except DBAPIError as error:
            if (sqlstate(error) or "").startswith(_NOT_CONVERTIBLE):
                return False
            raise

    def months_with(self, table: str, column: str) -> list[dt.date]:
        query = text(
            f"SELECT DISTINCT month FROM {quoted(table)} WHERE {quoted(column)} IS NOT NULL ORDER BY 1"
        )
        return list(self._connection.scalars(query))

    def add(self, table: str, column: str, kind: str, description: str) -> list[str]:
        return [
            f"ALTER TABLE {quoted(table)} ADD COLUMN {quoted(column)} {kind}",
            postgres_comment(table, column, description),
        ]

    def convert(self, table: str, column: str, kind: str) -> list[str]:
        name = quoted(column)
        return [f"ALTER TABLE {quoted(table)} ALTER COLUMN {name} TYPE {kind} USING CAST({name} AS {kind})"]

    def rename(self, table: str, column: str, new: str) -> list[str]:
        return [f"ALTER TABLE {quoted(table)} RENAME COLUMN {quoted(column)} TO {quoted(new)}"]
