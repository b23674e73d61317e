"""BigQuery: one table a service, partitioned by month, and a ledger of what each month holds."""

from __future__ import annotations

import datetime as dt
import functools

import stamina

from nyc_taxi.errors import DestinationUnreachable
from nyc_taxi.load.contract import LedgerEntry, Lookup, Progress, Run, refuse_sample
from nyc_taxi.load.warehouse.bigquery import ledger
from nyc_taxi.load.warehouse.bigquery.client import Connection, connect
from nyc_taxi.load.warehouse.bigquery.commit import commit_month, commit_name
from nyc_taxi.load.warehouse.bigquery.config import BigQueryConfig, configured
from nyc_taxi.load.warehouse.bigquery.errors import LockTimeout, translate_errors
from nyc_taxi.load.warehouse.bigquery.jobs import wait_for_running
from nyc_taxi.load.warehouse.bigquery.lookup import replace_lookup
from nyc_taxi.load.warehouse.bigquery.staging import stage
from nyc_taxi.load.warehouse.bigquery.tables import create_missing
from nyc_taxi.load.warehouse.record import record
from nyc_taxi.load.warehouse.views import ANALYST_VIEWS
from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.references import MonthFiles
from nyc_taxi.settings import settings

PATIENCE = 600.0
"""Seconds to go on trying while other loads are committed first."""


class BigQuery:
    """A Destination: the dataset that io_config.yaml names."""

    name = "bigquery"

    def __init__(self, target: BigQueryConfig | None = None) -> None:
        """`target`: another dataset than the configured one."""
        self._target = target or configured()

    @functools.cached_property
    def _connection(self) -> Connection:
        return connect(self._target)

    def describe(self) -> str:
        """Where it is; says so when it is an emulator."""
        return self._target.describe()

    def ledger_entry(self, service: Service, month: Month) -> LedgerEntry | None:
        """What the ledger says is there; None when the month was never loaded."""
        return ledger.current(self._connection, service, month)

    def ledger_entries(self) -> list[LedgerEntry]:
        """The load in force of every service and month."""
        return ledger.current_all(self._connection)

    def replace_lookup(self, lookup: Lookup) -> None:
        """Make a small table equal to `lookup`, by one load job that replaces it at once."""
        replace_lookup(self._connection, lookup)

    def replace_month(self, files: MonthFiles, run: Run, progress: Progress | None = None) -> LedgerEntry:
        """Make the month equal to `files`: load it beside the tables, then swap it in by one transaction.

        Whatever is broken off is found and continued by the next run. Where the ledger names the
        version already, nothing is loaded. Raises SchemaError for a column whose type is not the table's.
        """
        wanted = record(files, run, dt.datetime.now(dt.UTC))
        for attempt in stamina.retry_context(on=_may_succeed_now, attempts=settings().retries, timeout=None):
            with attempt:
                return self._replace(files, run, wanted, progress)
        raise AssertionError("the last attempt returns or raises")

    def dry_run_cost(self, month: Month | None = None) -> dict[str, int]:
        """Bytes that reading each analysts' view would scan, and be paid for; nothing is read.

        All months, or one: a table that requires a filter on its months refuses to be read whole.
        """
        from google.cloud.bigquery import QueryJobConfig

        connection = self._connection
        config = QueryJobConfig(dry_run=True, use_query_cache=False)
        only = f" WHERE month = DATE '{month.first_day}'" if month else ""
        with translate_errors(self._target):
            return {
                view: int(
                    connection.client.query(
                        f"SELECT * FROM {connection.qualified(view)}{only}",
                        job_config=config,
                        location=connection.location,
                        **connection.options,
                    ).total_bytes_processed
                )
                for view in ANALYST_VIEWS
            }

    def _replace(
        self, files: MonthFiles, run: Run, wanted: LedgerEntry, progress: Progress | None
    ) -> LedgerEntry:
        """Stage and commit, anew as long as other loads are committed first."""
        connection = self._connection
        for attempt in stamina.retry_context(
            on=LockTimeout, attempts=None, timeout=PATIENCE, wait_initial=1, wait_max=20
        ):
            with attempt:
                wait_for_running(connection, commit_name(connection, files))
                there = ledger.current(connection, files.service, files.month)
                if there is not None and there.version == files.version:
                    return there
                refuse_sample(files, there, self.name)
                create_missing(connection)
                staged = stage(connection, files, run)
                if progress:
                    progress(files.trips, files.rows_in)
                commit_month(connection, files, run, staged, wanted)
        done = ledger.last_of_version(connection, files.service, files.month, files.version)
        assert done is not None, "the commit job ended well without a row in the ledger"
        if progress:
            progress(files.rows_in, files.rows_in)
        return done


def _may_succeed_now(error: Exception) -> bool:
    """Whether to try again at once; for other loads we have waited long enough."""
    return isinstance(error, DestinationUnreachable) and not isinstance(error, LockTimeout)
