"""The ledger: which version of each month the tables hold."""

from __future__ import annotations

from typing import Any

from nyc_taxi.load.contract import LedgerEntry
from nyc_taxi.load.warehouse.bigquery.client import Connection
from nyc_taxi.load.warehouse.bigquery.errors import translate_errors
from nyc_taxi.load.warehouse.record import COLUMNS, from_row
from nyc_taxi.model.months import Month, Service


def current(connection: Connection, service: Service, month: Month) -> LedgerEntry | None:
    """The load in force of a month; None when it was never loaded."""
    found = _select(
        connection, "ledger_current", "WHERE service = @service AND month = @month", service, month
    )
    return found[0] if found else None


def current_all(connection: Connection) -> list[LedgerEntry]:
    """The load in force of every service and month."""
    return _select(connection, "ledger_current", "ORDER BY service, month")


def last_of_version(
    connection: Connection, service: Service, month: Month, version: str
) -> LedgerEntry | None:
    """The last load of a version, which a later load of another may have replaced by now."""
    clause = "WHERE service = @service AND month = @month AND version = @version ORDER BY id DESC LIMIT 1"
    found = _select(connection, "ledger", clause, service, month, version)
    return found[0] if found else None


def _select(
    connection: Connection,
    table: str,
    clause: str,
    service: Service | None = None,
    month: Month | None = None,
    version: str | None = None,
) -> list[LedgerEntry]:
    from google.api_core.exceptions import NotFound
    from google.cloud.bigquery import QueryJobConfig, ScalarQueryParameter

    values: dict[str, tuple[str, Any]] = {
        "service": ("STRING", service and str(service)),
        "month": ("DATE", month and month.first_day),
        "version": ("STRING", version),
    }
    config = QueryJobConfig(
        query_parameters=[
            ScalarQueryParameter(name, kind, value)
            for name, (kind, value) in values.items()
            if value is not None
        ]
    )
    sql = f"SELECT {', '.join(COLUMNS)} FROM {connection.qualified(table)} {clause}"
    with translate_errors(connection.target):
        try:
            rows = connection.client.query_and_wait(
                sql,
                job_config=config,
                location=connection.location,
                api_timeout=connection.options["timeout"],
                retry=connection.options["retry"],
            )
            return [from_row(row) for row in rows]
        except NotFound as error:
            if table in error.message:
                return []  # nothing was ever loaded here
            raise
