"""A bike-share for tests, with its own database, bucket folder and warehouse."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import uuid
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pytest

from nyc_taxi.local import gcs
from nyc_taxi.model.run import Run
from nyc_taxi.pipelines.bikeshare import bucket, sample
from nyc_taxi.pipelines.bikeshare.config import NAME, BikeshareConfig
from nyc_taxi.pipelines.bikeshare.database import Database
from nyc_taxi.pipelines.bikeshare.flow import DayResult, run_day
from nyc_taxi.pipelines.bikeshare.seed import fill
from nyc_taxi.pipelines.bikeshare.tables import RawTable, read_tables
from nyc_taxi.settings import PROJECT, load_settings
from tests.support.mariadb import MariaDb

DAY, NEXT = dt.date(2018, 1, 1), dt.date(2018, 1, 2)
RUN = Run("test-1", "cli")

TABLES = (
    "raw_stations",
    "raw_regions",
    "raw_trips",
    "dim_stations",
    "fact_trips_daily",
    "top_stations_daily",
)


def configured() -> BikeshareConfig:
    """Return the config of the environment."""
    return BikeshareConfig.from_settings(load_settings())


def raw_table(name: str) -> RawTable:
    """Return a table of the package's tables.yaml."""
    tables = read_tables(PROJECT / "nyc_taxi/pipelines/bikeshare/tables.yaml")
    return next(table for table in tables if table.name == name)


def trip(number: int, day: dt.date = DAY, **fields: Any) -> dict[str, Any]:
    """Return a trip of one minute from station 1 to station 3."""
    return {
        "trip_id": str(number),
        "duration_sec": "60",
        "start_date": f"{day} 10:00:00 UTC",
        "start_station_name": "One",
        "start_station_id": "1",
        "end_date": f"{day} 10:01:00 UTC",
        "end_station_name": "Three",
        "end_station_id": "3",
    } | fields


def lines(*trips: dict[str, Any]) -> bytes:
    """Return trips in the format of the bucket."""
    return gzip.compress("".join(f"{json.dumps(trip)}\n" for trip in trips).encode(), mtime=0)


@dataclass
class Stack:
    """The systems that a test's environment configures."""

    gcs_server: gcs.Server
    folder: Path
    mariadb: MariaDb | None = None
    """Server of the stations' database; None for the demo file."""
    name: str = field(default_factory=lambda: f"test_{uuid.uuid4().hex[:12]}")

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables that select this stack."""
        mysql: dict[str, str] = {}
        if self.mariadb:
            url = self.mariadb.database(self.name).url
            mysql = {
                "MYSQL_HOST": str(url.host),
                "MYSQL_PORT": str(url.port),
                "MYSQL_USER": str(url.username),
                "MYSQL_PASSWORD": str(url.password),
                "MYSQL_DATABASE": self.name,
            }
        return {
            "TAXI_WORKSPACE": str(self.folder),
            "GCS_BUCKET": self.gcs_server.bucket,
            "GCS_PREFIX": self.name,
            "STORAGE_EMULATOR_HOST": self.gcs_server.url,
            "BIGQUERY_DATASET": "",
            "BIKESHARE_DATASET": "",
            "DUCKDB_DATABASE": "",
            "MYSQL_HOST": "",
            **mysql,
        }

    def lead(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Select this stack in this process."""
        for name, value in self.environment.items():
            monkeypatch.setenv(name, value)

    def enter(self, monkeypatch: pytest.MonkeyPatch) -> Stack:
        """Select this stack in this process, with an empty database."""
        self.lead(monkeypatch)
        if file := self.database.file:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
        return self

    @property
    def config(self) -> BikeshareConfig:
        """Return the pipeline's configuration from the current settings."""
        return BikeshareConfig(NAME, load_settings())

    def run(self, day: dt.date = DAY, **options: Any) -> DayResult:
        """Run all steps of a day."""
        return run_day(configured(), day, RUN, **options)

    @property
    def database(self) -> Database:
        """The stations' database."""
        return self.config.database

    def sql(self, *statements: str) -> None:
        """Execute statements in the stations' database."""
        with self.database.connect() as connection, connection.begin():
            for statement in statements:
                connection.exec_driver_sql(statement)

    def table(self, table: RawTable, rows: Sequence[Sequence[object]]) -> None:
        """Replace a table of the stations' database."""
        self.sql(f"DROP TABLE IF EXISTS {table.name}")
        assert fill(self.database, table, rows, table.name)

    def stations(self, rows: list[tuple[Any, ...]] = sample.STATIONS) -> None:
        """Replace the stations in the database."""
        self.table(raw_table("stations"), rows)

    def put(self, key: str, data: bytes) -> None:
        """Replace an object."""
        bucket.put(self.config, key, data)

    def regions(self, data: bytes | None = None) -> None:
        """Replace the regions in the bucket."""
        self.put("regions.csv", data or sample.regions_csv())

    def trips(self, data: bytes, day: dt.date = DAY, name: str = "trips.json.gz") -> None:
        """Replace a day's trips in the bucket."""
        self.put(f"raw/trips/date={day}/{name}", data)

    def fill(self, *days: dt.date) -> None:
        """Generate stations, regions and the trips of some days."""
        self.stations()
        self.regions()
        for day in days or (DAY,):
            self.trips(sample.trips(day), day)

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """Query the embedded warehouse without the code under test; empty if the table does not exist."""
        file = self.folder / "warehouse.duckdb"
        if not file.exists():
            return []
        with closing(duckdb.connect(file, read_only=True)) as connection:
            connection.execute("SET TimeZone = 'UTC'; SET schema = 'bikeshare'")
            try:
                return connection.execute(sql).fetchall()
            except duckdb.CatalogException:
                return []

    def change(self, sql: str) -> None:
        """Execute a statement in the embedded warehouse."""
        with closing(duckdb.connect(self.folder / "warehouse.duckdb")) as connection:
            connection.execute("SET schema = 'bikeshare'")
            connection.execute(sql)

    def content(self, *tables: str) -> dict[str, list[str]]:
        """Return every row of the tables, and their ledger entries."""
        names = tables or TABLES
        contents = {name: sorted(map(repr, self.ask(f"FROM {name}"))) for name in names}
        listed = ", ".join(f"'{name}'" for name in names)
        ledger = f"SELECT table_name, date, version, row_count FROM ledger WHERE table_name IN ({listed})"
        return contents | {"ledger": sorted(map(repr, self.ask(ledger)))}
