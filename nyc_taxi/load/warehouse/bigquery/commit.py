"""A staged month in place of the one that is there, in one transaction."""

from __future__ import annotations

from importlib import resources
from typing import Any

from nyc_taxi.load.contract import LedgerEntry, Run
from nyc_taxi.load.warehouse.bigquery.client import Connection, quoted
from nyc_taxi.load.warehouse.bigquery.jobs import begin, finish, job_name, labels
from nyc_taxi.load.warehouse.bigquery.staging import Staged
from nyc_taxi.load.warehouse.bigquery.tables import LOCK
from nyc_taxi.load.warehouse.record import COLUMNS, to_row
from nyc_taxi.model.references import MonthFiles
from nyc_taxi.schema.tables import BIGQUERY_TYPES, LEDGER


def commit_month(
    connection: Connection, files: MonthFiles, run: Run, staged: list[Staged], entry: LedgerEntry
) -> None:
    """Replace the month and record it, or find that another run has just done so.

    Raises Busy when another load was committed meanwhile, DestinationError when counts do not agree;
    then nothing was changed.
    """
    from google.cloud import bigquery

    config = bigquery.QueryJobConfig(query_parameters=_parameters(entry), labels=labels(files, run))
    sql = _script(connection, staged)

    def start(job_id: str) -> Any:
        return connection.client.query(
            sql,
            job_config=config,
            job_id=job_id,
            location=connection.location,
            job_retry=None,
            **connection.options,
        )

    # one that has ended, while the ledger does not name its version, belongs to an earlier load
    job = begin(connection, commit_name(connection, files), start, lambda: False)
    finish(connection, job)


def commit_name(connection: Connection, files: MonthFiles) -> str:
    """The name of the jobs that commit this version of the month."""
    return job_name(connection, files, "commit")


def _parameters(entry: LedgerEntry) -> list[Any]:
    """A row of the ledger as query parameters, without finished_at, which the script itself knows."""
    from google.cloud.bigquery import ScalarQueryParameter

    types = {column.name: BIGQUERY_TYPES[column.type] for column in LEDGER}
    row = to_row(entry)
    return [ScalarQueryParameter(name, types[name], row[name]) for name in COLUMNS if name != "finished_at"]


def _script(connection: Connection, staged: list[Staged]) -> str:
    names = {name: connection.qualified(name) for name in (LOCK.name, "ledger", "ledger_current")}
    for item in staged:
        names[item.kind] = connection.qualified(item.target.name)
        names[f"{item.kind}_staged"] = connection.qualified(item.name)
        names[f"{item.kind}_columns"] = ", ".join(quoted(name) for name in item.columns)
    names["ledger_columns"] = ", ".join(COLUMNS)
    names["ledger_values"] = ", ".join(
        "CURRENT_TIMESTAMP()" if name == "finished_at" else f"@{name}" for name in COLUMNS
    )
    text = resources.files(__package__).joinpath("commit_month.sql").read_text(encoding="utf-8")
    return text.format_map(names)
