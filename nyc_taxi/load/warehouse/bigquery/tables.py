"""Tables and views of the dataset: created where they are missing, never changed except for new columns."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from nyc_taxi.errors import SettingsError
from nyc_taxi.load.views.definitions import OLDER_VIEWS, Dialect, View, readable, warn_of_foreign
from nyc_taxi.load.warehouse.bigquery.client import Connection
from nyc_taxi.load.warehouse.bigquery.errors import translate_errors
from nyc_taxi.model.months import Service
from nyc_taxi.schema import Column
from nyc_taxi.schema.sql import comment
from nyc_taxi.schema.tables import BIGQUERY_TYPES, Table, column_types, missing

if TYPE_CHECKING:
    from google.cloud.bigquery import SchemaField
    from google.cloud.bigquery import Table as BigQueryTable
    from google.cloud.bigquery.table import TableListItem

DIALECT = Dialect(
    BIGQUERY_TYPES,
    cell=lambda key: f"JSON_VALUE(raw, '$.{key}')",
    minutes="DATETIME_DIFF(dropoff_datetime, pickup_datetime, SECOND) / 60",
)


def lock(service: Service | None = None) -> Table:
    """The lock of a service's tables; without a service, of all tables of a dataset."""
    return Table(
        f"commit_lock_{service}" if service else "commit_lock",
        "One row, which every load changes, so that two loads cannot be committed at the same time.",
        (),
        (
            Column("run_id", "string", "The run that loaded last."),
            Column("taken_at", "instant", "When its transaction began."),
        ),
    )


_PARTITIONS = {"month": "MONTH", "date": "DAY"}
"""Unit of the partitions by the key column that they follow."""

_OLD_NAMES = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL"}
"""The API answers with legacy SQL's names."""


def create_missing(connection: Connection, tables: Sequence[Table], views: Sequence[View] = ()) -> None:
    """Create missing tables, and create or replace views that are missing or have changed.

    A view waits for the tables that it reads.
    """
    with translate_errors(connection.config):
        listed = _listed(connection)
        existing = {table.table_id: table.labels for table in listed}
        foreign = _foreign(listed, {view.name for view in views})
        for name in foreign:
            warn_of_foreign(name, "BigQuery")
        lacking = [table for table in tables if table.name not in existing]
        if lacking:
            refuse_expiration(connection)
        for table in lacking:
            _create_table(connection, table)
        own = [view for view in views if view.name not in foreign]
        stale = [
            view
            for view in readable(own, {*existing, *(table.name for table in tables)} - {*foreign})
            if existing.get(view.name, {}).get("text") != view.fingerprint
        ]
        if stale:  # they may name columns that older tables lack
            for table in tables:
                add_missing(connection, table, {}, {})
        for view in stale:
            _create_view(connection, view)


def existing_views(connection: Connection, names: Sequence[str]) -> list[str]:
    """Those of the package's views that the dataset has; a load leaves out what it cannot create."""
    listed = _listed(connection)
    own = {table.table_id for table in listed} - {*_foreign(listed, names)}
    return [name for name in names if name in own]


def _listed(connection: Connection) -> list[TableListItem]:
    return list(connection.client.list_tables(connection.config.dataset, **connection.options))


def _foreign(listed: Sequence[TableListItem], names: Collection[str]) -> list[str]:
    """The names of views that a table, or a view of somebody else, has taken."""
    return [
        table.table_id
        for table in listed
        if table.table_id in names
        and (table.table_type != "VIEW" or not ("text" in table.labels or table.table_id in OLDER_VIEWS))
    ]


def add_missing(
    connection: Connection, table: Table, of_file: dict[str, str], descriptions: Mapping[str, str]
) -> None:
    """Add the columns that the table lacks: new canonical ones, and what else the file has.

    Raises SchemaError naming a column whose type is another.
    """
    from google.api_core.exceptions import PreconditionFailed

    expected = column_types(table.columns, BIGQUERY_TYPES) | of_file
    while True:
        with translate_errors(connection.config):
            current = connection.client.get_table(connection.name(table.name), **connection.options)
            types = _types(current)
            lacking = missing(expected, types, table.name)
            if not lacking:
                return
            described = {**descriptions, **{column.name: comment(column) for column in table.columns}}
            current.schema = [
                *current.schema,
                *(
                    field(name, kind, described.get(name, "Not known to the schema; as in the file."))
                    for name, kind in lacking.items()
                ),
            ]
            try:
                connection.client.update_table(current, ["schema"], **connection.options)
            except PreconditionFailed:  # another run has just added columns: look again
                continue


def column_types_of(connection: Connection, table: str) -> dict[str, str]:
    """The types of a table's columns by name; empty if the table does not exist."""
    from google.api_core.exceptions import NotFound

    try:
        return _types(connection.client.get_table(connection.name(table), **connection.options))
    except NotFound:
        return {}


def field(name: str, kind: str, description: str = "", required: bool = False) -> SchemaField:
    """A column as the API describes it; `kind` is one of BIGQUERY_TYPES."""
    from google.cloud.bigquery import SchemaField

    if kind.startswith("ARRAY<"):
        return SchemaField(name, kind[6:-1], "REPEATED", description=description)
    return SchemaField(name, kind, "REQUIRED" if required else "NULLABLE", description=description)


def refuse_expiration(connection: Connection) -> None:
    """Raise SettingsError for a dataset whose new tables or partitions expire: months would be deleted."""
    with translate_errors(connection.config):
        dataset = connection.client.get_dataset(connection.config.dataset, **connection.options)
    ages = {
        "tables": dataset.default_table_expiration_ms,
        "partitions": dataset.default_partition_expiration_ms,
    }
    for what, age in ages.items():
        if age:
            name = f"{connection.project}:{connection.config.dataset}"
            raise SettingsError(
                f"{connection.config.where}: new {what} in the dataset expire after"
                f" {age / 86_400_000:.0f} days, which would delete months; use another dataset, or run"
                f" `bq update --default_table_expiration 0 --default_partition_expiration 0 {name}`."
            )


def _types(table: BigQueryTable) -> dict[str, str]:
    return {item.name: _type_of(item) for item in table.schema}


def _type_of(item: SchemaField) -> str:
    kind = _OLD_NAMES.get(item.field_type, item.field_type)
    return f"ARRAY<{kind}>" if item.mode == "REPEATED" else kind


def _create_table(connection: Connection, table: Table) -> None:
    from google.cloud import bigquery

    schema = [field(key.name, BIGQUERY_TYPES[key.type], comment(key), required=True) for key in table.keys]
    schema += [field(column.name, BIGQUERY_TYPES[column.type], comment(column)) for column in table.columns]
    created = bigquery.Table(connection.name(table.name), schema=schema)
    created.description = table.description
    for key in table.keys:
        if key.name in _PARTITIONS:
            created.time_partitioning = bigquery.TimePartitioning(_PARTITIONS[key.name], key.name)
    if table.clustering:
        created.clustering_fields = list(table.clustering)
        if created.time_partitioning.field == "month":
            created.require_partition_filter = connection.config.require_partition_filter
    connection.client.create_table(created, exists_ok=True, **connection.options)


def _create_view(connection: Connection, view: View) -> None:
    """Create the view, or put its text in place of the old one at once."""
    description = json.dumps(view.description)  # a string literal of GoogleSQL too
    connection.client.query_and_wait(
        f"CREATE OR REPLACE VIEW {connection.qualified(view.name)}"
        f" OPTIONS (description = {description}, labels = [('text', '{view.fingerprint}')])"
        f" AS\n{view.query}",
        location=connection.location,
        api_timeout=connection.options["timeout"],
        retry=connection.options["retry"],
    )
