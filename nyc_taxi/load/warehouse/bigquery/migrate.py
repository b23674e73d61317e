"""The tables of earlier versions brought to the schema; BigQuery changes tables outside of transactions.

Each step is one ALTER TABLE, which happens at once.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping

from nyc_taxi.load.migration import Migration, only_in, plan
from nyc_taxi.load.warehouse.bigquery.client import quoted
from nyc_taxi.load.warehouse.bigquery.engine import BigQueryEngine
from nyc_taxi.load.warehouse.bigquery.errors import translate_errors
from nyc_taxi.load.warehouse.bigquery.tables import column_types_of
from nyc_taxi.schema.tables import BIGQUERY_TYPES


def migrate(engine: BigQueryEngine, dry_run: bool) -> list[Migration]:
    """Plan the steps and, unless it is a dry run, take them."""
    steps = plan(_Tables(engine))
    for step in steps if not dry_run else ():
        for statement in step.statements:
            engine.rows(statement, {})
    return steps


class _Tables:
    """See nyc_taxi.load.migration.Existing."""

    types: Mapping[str, str] = BIGQUERY_TYPES

    def __init__(self, engine: BigQueryEngine) -> None:
        self._engine = engine

    def columns(self, table: str) -> dict[str, str]:
        connection = self._engine.connection
        with translate_errors(connection.config):
            return column_types_of(connection, table)

    def converts(self, table: str, column: str, old: str, new: str) -> bool:
        return (old, new) == ("INT64", "FLOAT64")  # of the types here, the only pair that ALTER COLUMN takes

    def months_with(self, table: str, column: str, instead_of: str | None = None) -> list[dt.date]:
        since = "month >= DATE '2009-01-01'"  # where the table requires a filter
        only = only_in(column, instead_of, quoted)
        query = f"SELECT DISTINCT month FROM {self._name(table)} WHERE {only} AND {since}"
        return sorted(row["month"] for row in self._engine.rows(query, {}))

    def add(self, table: str, column: str, kind: str, description: str) -> list[str]:
        options = f"OPTIONS (description = {json.dumps(description)})"
        return [f"ALTER TABLE {self._name(table)} ADD COLUMN {quoted(column)} {kind} {options}"]

    def convert(self, table: str, column: str, kind: str) -> list[str]:
        return [f"ALTER TABLE {self._name(table)} ALTER COLUMN {quoted(column)} SET DATA TYPE {kind}"]

    def rename(self, table: str, column: str, new: str) -> list[str]:
        return [f"ALTER TABLE {self._name(table)} RENAME COLUMN {quoted(column)} TO {quoted(new)}"]

    def _name(self, table: str) -> str:
        return self._engine.qualified(table)
