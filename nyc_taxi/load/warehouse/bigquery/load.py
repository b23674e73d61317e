"""BigQuery: one table a service, partitioned by month, and a ledger of what each month holds."""

from __future__ import annotations

import datetime as dt

from nyc_taxi.load.contract import Lookup, Progress, new_entry, refuse_sample
from nyc_taxi.load.migration import Migration
from nyc_taxi.load.views.definitions import ANALYST_VIEWS, views
from nyc_taxi.load.warehouse import ledger
from nyc_taxi.load.warehouse.bigquery.client import Connection
from nyc_taxi.load.warehouse.bigquery.commit import commit_month, commit_name
from nyc_taxi.load.warehouse.bigquery.config import BigQueryConfig
from nyc_taxi.load.warehouse.bigquery.engine import BigQueryEngine
from nyc_taxi.load.warehouse.bigquery.errors import translate_errors
from nyc_taxi.load.warehouse.bigquery.jobs import wait_for_running
from nyc_taxi.load.warehouse.bigquery.lookup import replace_lookup
from nyc_taxi.load.warehouse.bigquery.migrate import migrate
from nyc_taxi.load.warehouse.bigquery.staging import stage
from nyc_taxi.load.warehouse.bigquery.tables import (
    DIALECT,
    add_missing,
    column_types_of,
    create_missing,
    existing_views,
    lock,
    refuse_expiration,
)
from nyc_taxi.load.warehouse.engine import retry_load
from nyc_taxi.load.warehouse.months import WarehouseMonths
from nyc_taxi.model.ledger import LedgerEntry
from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.references import MonthFiles
from nyc_taxi.model.run import Run
from nyc_taxi.schema.tables import all_tables, trips
from nyc_taxi.settings import Settings
from nyc_taxi.transform.refined import RefinedMonth


class BigQuery(WarehouseMonths[BigQueryEngine]):
    """A Destination: the dataset that io_config.yaml names."""

    name = "bigquery"

    def __init__(self, config: BigQueryConfig) -> None:
        self._config = config
        super().__init__(BigQueryEngine(config))

    @classmethod
    def from_settings(cls, settings: Settings) -> BigQuery:
        """See Destination."""
        return cls(BigQueryConfig.from_settings(settings))

    def describe(self) -> str:
        """Where it is; says so when it is an emulator."""
        return self._config.describe()

    def dataset(self, service: Service, month: Month) -> tuple[str, str]:
        """See Destination."""
        return "bigquery", f"{self._config.project}.{self._config.dataset}.{trips(service).name}"

    def create_tables(self) -> None:
        """See WarehouseMonths."""
        create_tables(self.engine.connection)
        for table in all_tables():
            add_missing(self.engine.connection, table, {}, {})

    def migrate(self, *, dry_run: bool) -> list[Migration]:
        """See Destination and `nyc_taxi.load.warehouse.bigquery.migrate`."""
        return migrate(self.engine, dry_run)

    def has_lookup(self, name: str) -> bool:
        """See Destination."""
        with translate_errors(self._config):
            return bool(column_types_of(self.engine.connection, name))

    def replace_lookup(self, lookup: Lookup) -> None:
        """Make a small table equal to `lookup`, by one load job that replaces it at once.

        Then create the views that wait for it.
        """
        connection = self.engine.connection
        if not self.has_lookup(lookup.name):
            refuse_expiration(connection)
        replace_lookup(connection, lookup)
        create_missing(connection, [], views(connection.qualified, DIALECT))

    def replace_month(
        self,
        month: RefinedMonth,
        run: Run,
        progress: Progress | None = None,
        damaged: LedgerEntry | None = None,
    ) -> LedgerEntry:
        """See Destination: load it beside the tables, then swap it in by one transaction.

        The next run finds and continues whatever is broken off. Raises SchemaError for a column whose type
        is not the table's.
        """
        files = month.files()
        entry = new_entry(files, run, dt.datetime.now(dt.UTC))
        return retry_load(self._config.retry, lambda: self._replace(files, run, entry, progress, damaged))

    def dry_run_cost(self, month: Month | None = None) -> dict[str, int]:
        """Bytes that reading each analysts' view of the dataset would scan, and be paid for; nothing is read.

        All months, or one: a table that requires a filter on its months refuses to be read whole.
        """
        from google.cloud.bigquery import QueryJobConfig

        connection = self.engine.connection
        config = QueryJobConfig(dry_run=True, use_query_cache=False)
        only = f" WHERE month = DATE '{month.first_day}'" if month else ""
        with translate_errors(self._config):
            return {
                view: int(
                    connection.client.query(
                        f"SELECT * FROM {connection.qualified(view)}{only}",
                        job_config=config,
                        location=connection.location,
                        **connection.options,
                    ).total_bytes_processed
                )
                for view in existing_views(connection, ANALYST_VIEWS)
            }

    def _replace(
        self,
        files: MonthFiles,
        run: Run,
        entry: LedgerEntry,
        progress: Progress | None,
        damaged: LedgerEntry | None,
    ) -> LedgerEntry:
        connection = self.engine.connection
        wait_for_running(connection, commit_name(connection, files))
        held = ledger.current(self.engine, files.service, files.month)
        if held is not None and held.version == files.version and held != damaged:
            return held
        refuse_sample(files, held, self.name)
        create_tables(connection)
        staged = stage(connection, files, run)
        if progress:
            progress(files.trips, files.rows_in)
        commit_month(self.engine, files, run, staged, entry, damaged)
        loaded = ledger.last_of_version(self.engine, files.service, files.month, files.version)
        assert loaded is not None, "the commit job ended well without a row in the ledger"
        if progress:
            progress(files.rows_in, files.rows_in)
        return loaded


def create_tables(connection: Connection) -> None:
    """Create the tables and views of the trips that are missing, and replace views that have changed."""
    shipped = views(connection.qualified, DIALECT)
    create_missing(connection, [*all_tables(), *map(lock, Service)], shipped)
