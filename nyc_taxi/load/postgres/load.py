"""Postgres: one table a service, partitioned by month, and a ledger of what each partition holds."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import TypeVar

import stamina
from sqlalchemy.engine import Connection

from nyc_taxi.errors import DestinationUnreachable
from nyc_taxi.load.contract import LedgerEntry, Lookup, Progress, Run
from nyc_taxi.load.postgres import ledger
from nyc_taxi.load.postgres.client import transaction
from nyc_taxi.load.postgres.config import PostgresConfig, configured
from nyc_taxi.load.postgres.errors import LockTimeout
from nyc_taxi.load.postgres.lookup import replace_lookup
from nyc_taxi.load.postgres.replace import Rows, replace_month
from nyc_taxi.load.postgres.tables import create_missing
from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.references import MonthFiles
from nyc_taxi.settings import settings
from nyc_taxi.transform.judged import ComingMonth

log = logging.getLogger(__name__)

T = TypeVar("T")


class Postgres:
    """A Destination: the database that io_config.yaml names, or the embedded server where it names none."""

    name = "postgres"

    def __init__(self, target: PostgresConfig | None = None) -> None:
        """`target`: another database than the configured one."""
        self._target = target or configured()
        if not self._target.host:
            _tell_of(self._target.describe())

    def describe(self) -> str:
        """Where it is; says so when it is a stand-in."""
        return self._target.describe()

    def ledger_entry(self, service: Service, month: Month) -> LedgerEntry | None:
        """What the ledger says is there; None when the month was never loaded."""
        return self._transact(lambda connection: ledger.current(connection, service, month))

    def ledger_entries(self) -> list[LedgerEntry]:
        """The load in force of every service and month."""
        return self._transact(ledger.current_all)

    def replace_month(self, files: MonthFiles, run: Run, progress: Progress | None = None) -> LedgerEntry:
        """Make the month equal to `files`, all or nothing; see `nyc_taxi.load.postgres.replace`.

        Where the ledger names the version already, nothing is loaded. After a broken connection it
        begins anew. Raises SchemaError for a column whose type is not the table's.
        """
        return self._replace(files.service, Rows.of(files), run, progress)

    def replace_coming_month(
        self, month: ComingMonth, run: Run, progress: Progress | None = None
    ) -> LedgerEntry:
        """The same while the Parquet is being written; it is waited for before anything is swapped in."""
        return self._replace(month.clean.service, Rows.coming(month), run, progress)

    def replace_lookup(self, lookup: Lookup) -> None:
        """Make a small table equal to `lookup`, in one transaction."""
        schema = self._target.schema
        self._transact(lambda connection: replace_lookup(connection, schema, lookup))

    def _replace(self, service: Service, rows: Rows, run: Run, progress: Progress | None) -> LedgerEntry:
        schema = self._target.schema
        self._transact(lambda connection: create_missing(connection, schema, service))
        return self._transact(lambda connection: replace_month(connection, schema, rows, run, progress))

    def _transact(self, work: Callable[[Connection], T]) -> T:
        """Do the work in a transaction; from its beginning again when the connection fails."""

        def once() -> T:
            with transaction(self._target.reachable()) as connection:
                return work(connection)

        retrying = stamina.RetryingCaller(
            attempts=settings().retries, timeout=None, wait_initial=0.2, wait_max=5
        )
        return retrying(_may_succeed_now, once)


@functools.cache  # once a process
def _tell_of(standin: str) -> None:
    log.info("Using the %s.", standin)


def _may_succeed_now(error: Exception) -> bool:
    """Whether to try again at once; for a lock that others keep we have waited long enough."""
    return isinstance(error, DestinationUnreachable) and not isinstance(error, LockTimeout)
