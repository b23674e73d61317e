"""The tables: trips and quarantine of each service, partitioned by month, beside quality and ledger."""

from __future__ import annotations

from importlib import resources

from sqlalchemy import text
from sqlalchemy.engine import Connection

from nyc_taxi.load.postgres.client import execute
from nyc_taxi.load.postgres.locks import in_short_attempts
from nyc_taxi.model.months import Month, Service
from nyc_taxi.schema import Column
from nyc_taxi.schema.sql import (
    POSTGRES_TYPES,
    comment,
    literal,
    postgres_comment,
    postgres_table,
    quoted,
)
from nyc_taxi.schema.tables import LEDGER, LEDGER_TABLE, QUALITY_TABLE, quarantine, trips


def partition_of(table: str, month: Month) -> str:
    """The name of one month's part of a table, such as trips_green_2020_04."""
    return f"{table}_{month.year:04d}_{month.number:02d}"


def create_missing(connection: Connection, schema: str) -> None:
    """Create the schema and the tables if they do not exist; of existing ones, complete the ledger.

    Those of all services, since views read several of them. A role that owns only the schema may do this.
    """
    create(connection, schema, _statements())
    complete_ledger(connection, schema)


def complete_ledger(connection: Connection, schema: str) -> None:
    """Add the ledger's columns that earlier versions lack; raises LockTimeout if readers do not leave."""
    if not _missing_columns(connection):
        return
    lock_schema(connection, schema)

    def add() -> None:
        statements = [
            f"ALTER TABLE ledger ADD COLUMN IF NOT EXISTS {quoted(column.name)} {POSTGRES_TYPES[column.type]}"
            for column in _missing_columns(connection)
        ]
        statements.append(f"COMMENT ON TABLE ledger IS {literal(LEDGER_TABLE.description)}")
        statements += [postgres_comment("ledger", column.name, comment(column)) for column in LEDGER]
        execute(connection, ";\n".join(statements))

    busy = "other sessions hold locks on the table ledger, which lacks columns: try again later."
    in_short_attempts(connection, busy, add)


def _missing_columns(connection: Connection) -> list[Column]:
    existing = columns_of(connection, "ledger")
    return [column for column in LEDGER if column.name not in existing]


def create(connection: Connection, schema: str, statements: dict[str, str]) -> None:
    """Create the schema and the missing tables; `statements` is the SQL of each by its name."""
    if not _missing(connection, statements):
        return
    lock_schema(connection, schema)
    if connection.scalar(text("SELECT to_regnamespace(:schema)"), {"schema": quoted(schema)}) is None:
        execute(connection, f"CREATE SCHEMA {quoted(schema)}")
    for name in _missing(connection, statements):
        execute(connection, statements[name])


def lock_schema(connection: Connection, schema: str) -> None:
    """Wait for other sessions that create tables or views, until the end of the transaction.

    IF NOT EXISTS does not protect against a concurrent session that creates the same table.
    """
    connection.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": f"nyc_taxi {schema}"}
    )


def columns_of(connection: Connection, table: str) -> dict[str, str]:
    """The types of the columns of a table or view by name, in order; empty if it does not exist."""
    rows = connection.execute(
        text(
            "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute"
            " WHERE attrelid = to_regclass(:table) AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
        ),
        {"table": quoted(table)},
    )
    return {row[0]: row[1] for row in rows}


def _missing(connection: Connection, statements: dict[str, str]) -> list[str]:
    query = text(
        "SELECT name FROM unnest(CAST(:names AS text[])) AS name WHERE to_regclass(quote_ident(name)) IS NULL"
    )
    missing = set(connection.scalars(query, {"names": list(statements)}))
    return [name for name in statements if name in missing]


def _statements() -> dict[str, str]:
    """The SQL that makes each table, by its name."""
    quality = QUALITY_TABLE
    statements = {
        "ledger": resources.files(__package__).joinpath("ledger.sql").read_text(encoding="utf-8"),
        "quality": postgres_table("quality", quality.description, quality.columns, quality.keys)
        + "CREATE INDEX quality_month ON quality (service, month);",
    }
    for service in Service:
        statements |= _partitioned(service)
    return statements


def _partitioned(service: Service) -> dict[str, str]:
    tables = trips(service), quarantine(service)
    statements = {
        table.name: postgres_table(
            table.name,
            f"{table.description.rstrip('.')}; each month is a partition.",
            table.columns,
            table.keys,
            "PARTITION BY LIST (month)",
        )
        for table in tables
    }
    # 24 kB and 0.1 s for a million rows, where a B-tree takes 21 MB and 0.8 s. It skips all other
    # months for a query that names only a time, and much of the month: files are roughly in order.
    name = tables[0].name
    statements[name] += f"CREATE INDEX {name}_pickup ON {name} USING brin (pickup_datetime);"
    return statements
