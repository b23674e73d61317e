"""The destination postgres."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy.engine import Connection

from nyc_taxi.load.contract import Lookup, Progress
from nyc_taxi.load.migration import Migration
from nyc_taxi.load.postgres import ledger
from nyc_taxi.load.postgres.client import transaction
from nyc_taxi.load.postgres.config import PostgresConfig
from nyc_taxi.load.postgres.damage import find_damage
from nyc_taxi.load.postgres.delete import delete_month
from nyc_taxi.load.postgres.migrate import migrate, plan_steps
from nyc_taxi.load.postgres.tables import columns_of, create_missing
from nyc_taxi.load.postgres.views import refresh_view, stale_views
from nyc_taxi.model.ledger import LedgerEntry
from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.run import Run
from nyc_taxi.schema.tables import trips
from nyc_taxi.settings import Settings

if TYPE_CHECKING:
    from nyc_taxi.transform.refined import RefinedMonth

log = logging.getLogger(__name__)

T = TypeVar("T")


class Postgres:
    """A Destination: a database, or the embedded server where none is configured."""

    name = "postgres"

    def __init__(self, config: PostgresConfig) -> None:
        self.config = config
        if config.embedded:
            _log_once(config.describe())

    @classmethod
    def from_settings(cls, settings: Settings) -> Postgres:
        """See Destination."""
        return cls(PostgresConfig.from_settings(settings))

    def describe(self) -> str:
        """See Destination."""
        return self.config.describe()

    def dataset(self, service: Service, month: Month) -> tuple[str, str]:
        """See Destination."""
        config = self.config.reachable()
        table = f"{config.dbname}.{config.schema}.{trips(service).name}"
        return f"postgres://{config.host}:{config.port}", table

    def ledger_entry(self, service: Service, month: Month) -> LedgerEntry | None:
        """See Destination."""
        return self._transact(lambda connection: ledger.current(connection, service, month))

    def ledger_entries(
        self, months: Collection[tuple[Service, Month]] | None = None, *, deletions: bool = False
    ) -> list[LedgerEntry]:
        """See Destination."""
        entries = self._transact(lambda connection: ledger.current_all(connection, deletions))
        return [each for each in entries if months is None or (each.service, each.month) in months]

    def history(self, service: Service, month: Month) -> list[LedgerEntry]:
        """See Destination."""
        return self._transact(lambda connection: ledger.history(connection, service, month))

    def recorded_months(self) -> list[tuple[Service, Month]]:
        """See Destination."""
        return [(entry.service, entry.month) for entry in self.ledger_entries()]

    def find_damage(
        self, service: Service, month: Month, entry: LedgerEntry | None = None, *, thorough: bool = False
    ) -> str | None:
        """See Destination."""
        return self._transact(lambda connection: find_damage(connection, service, month, entry))

    def replace_month(
        self,
        month: RefinedMonth,
        run: Run,
        progress: Progress | None = None,
        damaged: LedgerEntry | None = None,
    ) -> LedgerEntry:
        """See Destination and `nyc_taxi.load.postgres.replace`.

        Starts again after a broken connection. Raises SchemaError for a column whose type is not the table's.
        """
        from nyc_taxi.load.postgres.replace import replace_month  # imports Arrow

        schema = self.config.schema
        self._prepare()
        return self._transact(
            lambda connection: replace_month(connection, schema, month, run, progress, damaged)
        )

    def delete_month(self, service: Service, month: Month, run: Run) -> LedgerEntry | None:
        """See Destination and `nyc_taxi.load.postgres.delete`."""
        schema = self.config.schema
        if self.ledger_entry(service, month) is None:
            return None
        self._prepare()
        return self._transact(lambda connection: delete_month(connection, schema, service, month, run))

    def migrate(self, *, dry_run: bool) -> list[Migration]:
        """See Destination; one transaction changes the tables."""
        steps = self._transact(plan_steps)
        tables = sorted({step.table for step in steps if step.statements})
        if dry_run or not tables:
            return steps
        unchanged = [step for step in steps if step.table not in tables]
        steps = unchanged + self._transact(lambda connection: migrate(connection, self.config.schema, tables))
        self._refresh_views()
        return steps

    def has_lookup(self, name: str) -> bool:
        """See Destination."""
        return bool(self._transact(lambda connection: columns_of(connection, name)))

    def replace_lookup(self, lookup: Lookup) -> None:
        """See Destination; one transaction, and others for the views that wait for the table."""
        from nyc_taxi.load.postgres.lookup import replace_lookup  # imports Arrow

        schema = self.config.schema
        self._transact(lambda connection: replace_lookup(connection, schema, lookup))
        self._refresh_views()

    def _prepare(self) -> None:
        """Create the tables and views that are missing."""
        self._transact(lambda connection: create_missing(connection, self.config.schema))
        self._refresh_views()

    def _refresh_views(self) -> None:
        """Create or replace each view in a transaction of its own: readers wait for one lock at a time."""
        for name in self._transact(stale_views):
            self._transact(functools.partial(refresh_view, schema=self.config.schema, name=name))

    def _transact(self, work: Callable[[Connection], T]) -> T:
        """Do the work in a transaction; from its beginning again when the connection fails."""

        def once() -> T:
            with transaction(self.config.reachable()) as connection:
                return work(connection)

        return self.config.retry.call(once)


@functools.cache  # once per process
def _log_once(server: str) -> None:
    log.info("Using the %s.", server)
