"""Queries, and scripts that run as one transaction."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from nyc_taxi.load.warehouse.bigquery.client import Connection
from nyc_taxi.load.warehouse.bigquery.errors import translate_errors
from nyc_taxi.load.warehouse.bigquery.jobs import begin, finish
from nyc_taxi.load.warehouse.engine import Assertion, Statement
from nyc_taxi.schema.tables import Table

_TYPES = {str: "STRING", int: "INT64", dt.date: "DATE", dt.datetime: "TIMESTAMP", type(None): "STRING"}


def select(
    connection: Connection, query: str, values: Mapping[str, Any], optional: str = ""
) -> list[dict[str, Any]]:
    """The rows of a query; none if the table or view named by `optional` does not exist yet."""
    from google.api_core.exceptions import NotFound

    with translate_errors(connection.config):
        try:
            rows = connection.client.query_and_wait(
                query,
                job_config=_config(values),
                location=connection.location,
                api_timeout=connection.options["timeout"],
                retry=connection.options["retry"],
            )
            return [dict(row.items()) for row in rows]
        except NotFound as error:
            if optional and optional in error.message:
                return []
            raise


def run_transaction(
    connection: Connection,
    name: str,
    lock: Table,
    statements: Sequence[Statement],
    values: Mapping[str, Any],
    labels: dict[str, str],
    dropped: Sequence[str] = (),
) -> None:
    """Run statements in one transaction, then drop staging tables; `values` has a `run_id`.

    No two transactions with the same `lock` (`tables.lock`) are committed at the same time. A job of that
    name that another run began is waited for instead. Raises LockTimeout when another transaction was
    committed meanwhile, DestinationError when an assertion does not hold; then nothing was changed.
    """
    sql = _script(
        connection.qualified(lock.name), statements, [connection.qualified(name) for name in dropped]
    )
    config = _config(values)
    config.labels = labels

    def start(job_id: str) -> Any:
        return connection.client.query(
            sql,
            job_config=config,
            job_id=job_id,
            location=connection.location,
            job_retry=None,
            **connection.options,
        )

    # a finished job of this name belongs to an earlier load: the ledger does not name its version
    job = begin(connection, name, start, lambda: False)
    finish(connection, job)


def _script(lock: str, statements: Sequence[Statement], dropped: Sequence[str]) -> str:
    script = [
        f"INSERT INTO {lock} (run_id) SELECT '' FROM (SELECT 1) WHERE NOT EXISTS (SELECT 1 FROM {lock})",
        "BEGIN TRANSACTION",
        # BigQuery cancels a transaction that changes rows of a table while another one does. Adding rows
        # is no such change, so two first loads could both succeed: therefore each changes this row.
        f"UPDATE {lock} SET run_id = @run_id, taken_at = CURRENT_TIMESTAMP() WHERE TRUE",
        *(_sql(statement) for statement in statements),
        "COMMIT TRANSACTION",
        *(f"DROP TABLE IF EXISTS {table}" for table in dropped),
    ]
    return "".join(f"{statement};\n" for statement in script)


def _sql(statement: Statement) -> str:
    """A transaction supports no ASSERT, but it supports SELECT."""
    if isinstance(statement, Assertion):
        return f"SELECT IF({statement.condition}, 0, ERROR('{statement.message}'))"
    return statement


def _config(values: Mapping[str, Any]) -> Any:
    from google.cloud.bigquery import QueryJobConfig, ScalarQueryParameter

    parameters = [ScalarQueryParameter(name, _TYPES[type(value)], value) for name, value in values.items()]
    return QueryJobConfig(query_parameters=parameters)
