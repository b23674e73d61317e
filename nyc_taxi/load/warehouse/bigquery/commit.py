"""A staged month in place of the one that is there, in one transaction."""

from __future__ import annotations

import datetime as dt
from importlib import resources

from nyc_taxi.load.warehouse import ledger
from nyc_taxi.load.warehouse.bigquery.client import Connection, quoted
from nyc_taxi.load.warehouse.bigquery.engine import BigQueryEngine
from nyc_taxi.load.warehouse.bigquery.jobs import labels, month_job, month_labels
from nyc_taxi.load.warehouse.bigquery.queries import run_transaction
from nyc_taxi.load.warehouse.bigquery.staging import Staged
from nyc_taxi.load.warehouse.bigquery.tables import lock
from nyc_taxi.model.ledger import LedgerEntry
from nyc_taxi.model.references import MonthFiles
from nyc_taxi.model.run import Run

_NEVER = dt.datetime.fromtimestamp(0, dt.UTC)
"""When no load ended."""


def commit_month(
    engine: BigQueryEngine,
    files: MonthFiles,
    run: Run,
    staged: list[Staged],
    entry: LedgerEntry,
    damaged: LedgerEntry | None = None,
) -> None:
    """Replace the month and record it, or find that another run has just done so.

    `damaged`: an entry of this version whose rows are to be loaded again.
    Raises LockTimeout when another load was committed meanwhile, DestinationError when counts do not
    agree; then nothing was changed.
    """
    connection = engine.connection
    values = entry.to_row()
    del values["finished_at"]  # CURRENT_TIMESTAMP(): when the transaction begins
    values["damaged_at"] = damaged.finished_at if damaged else _NEVER
    run_transaction(
        connection,
        commit_name(connection, files),
        lock(files.service),
        [_replace_month(engine, staged)],
        values,
        labels(run, **month_labels(files)),
        dropped=[item.name for item in staged],
    )


def commit_name(connection: Connection, files: MonthFiles) -> str:
    """The name of the jobs that commit this version of the month."""
    return month_job(connection, files, "commit")


def _replace_month(engine: BigQueryEngine, staged: list[Staged]) -> str:
    names = {
        "ledger_current": engine.qualified("ledger_current"),
        "insert_ledger_entry": ledger.insert_statement(engine, finished_at="CURRENT_TIMESTAMP()"),
    }
    for item in staged:
        names[item.kind] = engine.qualified(item.target.name)
        names[f"{item.kind}_staged"] = engine.qualified(item.name)
        names[f"{item.kind}_columns"] = ", ".join(quoted(name) for name in item.columns)
    text = resources.files(__package__).joinpath("commit_month.sql").read_text(encoding="utf-8")
    return text.format_map(names).strip()
