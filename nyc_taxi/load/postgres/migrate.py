"""The tables of earlier versions brought to the schema, in one transaction after that of the plan."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping

from sqlalchemy import text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from nyc_taxi.errors import DestinationError
from nyc_taxi.load.migration import Migration, only_in, plan
from nyc_taxi.load.postgres.client import execute
from nyc_taxi.load.postgres.errors import message_of, sqlstate
from nyc_taxi.load.postgres.locks import in_short_attempts
from nyc_taxi.load.postgres.tables import columns_of, lock_schema
from nyc_taxi.load.postgres.views import create_views, drop_views
from nyc_taxi.schema.sql import POSTGRES_TYPES, postgres_comment, quoted

_NOT_CONVERTIBLE = ("22", "42846", "0A000")
"""SQLSTATEs of values that a type does not hold, and of types that have no cast."""

_DEPENDED_UPON = ("2BP01", "0A000")
"""SQLSTATEs of DROP VIEW and of ALTER COLUMN TYPE where somebody's view reads the view or the column."""


def plan_steps(connection: Connection) -> list[Migration]:
    """The steps, as the tables are now."""
    return plan(_Tables(connection))


def migrate(connection: Connection, schema: str, tables: Collection[str]) -> list[Migration]:
    """Change these tables; returns the steps, planned anew once nobody else can change the tables.

    Raises LockTimeout if readers do not leave, and DestinationError if somebody's view depends on a column.
    """
    steps: list[Migration] = []

    def change() -> None:
        execute(connection, f"LOCK TABLE {', '.join(map(quoted, tables))} IN ACCESS EXCLUSIVE MODE")
        steps[:] = [step for step in plan_steps(connection) if step.table in tables]
        changed = [(step.table, step.changed) for step in steps if step.changed]
        grants = drop_views(connection, changed)  # a column that a view reads keeps its type
        for statement in (statement for step in steps for statement in step.statements):
            execute(connection, statement)
        create_views(connection)
        for grant in grants:
            execute(connection, grant)

    lock_schema(connection, schema)  # before the tables, as a load does
    try:
        in_short_attempts(connection, "other sessions hold locks on the tables: migrate again later.", change)
    except DBAPIError as error:
        if sqlstate(error) not in _DEPENDED_UPON:
            raise
        raise DestinationError(
            f"Postgres refuses the migration ({message_of(error)}): drop the view or other object that"
            " depends on it, run `taxi migrate` again, then create it again."
        ) from None
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

    def months_with(self, table: str, column: str, instead_of: str | None = None) -> list[dt.date]:
        query = f"SELECT DISTINCT month FROM {quoted(table)} WHERE {only_in(column, instead_of)} ORDER BY 1"
        return list(self._connection.scalars(text(query)))

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
