"""Small tables that trips refer to."""

from __future__ import annotations

from sqlalchemy.engine import Connection

from nyc_taxi.load.contract import Lookup
from nyc_taxi.load.postgres.client import execute
from nyc_taxi.load.postgres.copy import copy_batches
from nyc_taxi.load.postgres.tables import create
from nyc_taxi.schema.sql import postgres_table, quoted


def replace_lookup(connection: Connection, schema: str, lookup: Lookup) -> None:
    """Make the table equal to the rows; readers see the old ones until the transaction ends."""
    name = quoted(lookup.name)
    ddl = postgres_table(lookup.name, lookup.description, lookup.columns, [])
    create(
        connection, schema, {lookup.name: f"{ddl}ALTER TABLE {name} ADD PRIMARY KEY ({quoted(lookup.key)});"}
    )
    # one writer at a time; readers are not kept out
    execute(connection, f"LOCK TABLE {name} IN SHARE ROW EXCLUSIVE MODE")
    execute(connection, f"DELETE FROM {name}")
    copy_batches(connection, lookup.name, lookup.rows.schema, iter(lookup.rows.to_batches()))
