"""The destination duckdb."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nyc_taxi.load.contract import Lookup, Progress
from nyc_taxi.load.migration import Migration
from nyc_taxi.load.warehouse.duckdb.config import DuckDbConfig
from nyc_taxi.load.warehouse.duckdb.engine import DuckDbEngine
from nyc_taxi.load.warehouse.duckdb.lookup import replace_lookup
from nyc_taxi.load.warehouse.duckdb.migrate import migrate
from nyc_taxi.load.warehouse.duckdb.replace import create_missing, load_limits, replace_month
from nyc_taxi.load.warehouse.months import WarehouseMonths
from nyc_taxi.model.ledger import LedgerEntry
from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.run import Run
from nyc_taxi.schema.tables import trips
from nyc_taxi.settings import Settings

if TYPE_CHECKING:
    from nyc_taxi.transform.refined import RefinedMonth

SCHEMA = "taxi"


class DuckDb(WarehouseMonths[DuckDbEngine]):
    """A Destination: one file on this machine."""

    name = "duckdb"

    def __init__(self, config: DuckDbConfig) -> None:
        self._config = config
        super().__init__(DuckDbEngine(config, SCHEMA))

    @classmethod
    def from_settings(cls, settings: Settings) -> DuckDb:
        """See Destination."""
        return cls(DuckDbConfig.from_settings(settings))

    @property
    def file(self) -> Path:
        """The database file."""
        return self._config.file

    def describe(self) -> str:
        """See Destination."""
        role = " (in place of BigQuery: BIGQUERY_DATASET is not set)" * self._config.replaces_bigquery
        return f"{self.engine.describe()}{role}; `taxi connect duckdb`"

    def dataset(self, service: Service, month: Month) -> tuple[str, str]:
        """See Destination."""
        return "file", f"{self.file}/{SCHEMA}.{trips(service).name}"

    def replace_month(
        self,
        month: RefinedMonth,
        run: Run,
        progress: Progress | None = None,
        damaged: LedgerEntry | None = None,
    ) -> LedgerEntry:
        """See Destination and `nyc_taxi.load.warehouse.duckdb.replace`.

        Waits for other runs of this project that load at the same time.
        """
        files = month.files()
        with self.engine.session() as session, load_limits(session):
            return replace_month(session, files, run, progress, damaged)

    def create_tables(self) -> None:
        """See WarehouseMonths; one transaction."""
        with self.engine.session() as session:
            session.connection.begin()
            create_missing(session)
            session.connection.commit()

    def migrate(self, *, dry_run: bool) -> list[Migration]:
        """See Destination; one transaction."""
        if not self.file.exists():
            return []
        with self.engine.session(read_only=dry_run) as session:
            return migrate(session, dry_run)

    def has_lookup(self, name: str) -> bool:
        """See Destination."""
        if not self.file.exists():
            return False
        with self.engine.session(read_only=True) as session:
            return bool(session.columns(name))

    def replace_lookup(self, lookup: Lookup) -> None:
        """See Destination; one transaction."""
        with self.engine.session() as session:
            replace_lookup(session, lookup)
