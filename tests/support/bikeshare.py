"""A bike-share for tests: a database, a folder in a bucket and a warehouse of the test's own."""

from __future__ import annotations

import datetime as dt
import functools
import gzip
import json
import uuid
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from nyc_taxi.load.contract import Run
from nyc_taxi.local import gcs, mysql
from nyc_taxi.pipelines.bikeshare import bucket, sample
from nyc_taxi.pipelines.bikeshare.config import Mysql, Place, place
from nyc_taxi.pipelines.bikeshare.seed import fill
from nyc_taxi.pipelines.bikeshare.tables import raw_table

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


def trip(number: int, day: dt.date = DAY, **fields: Any) -> dict[str, Any]:
    """A trip of one minute from station 1 to station 3."""
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
    """Trips as they lie in the bucket."""
    return gzip.compress("".join(f"{json.dumps(trip)}\n" for trip in trips).encode(), mtime=0)


@dataclass
class World:
    """What the environment leads to."""

    mysql_server: mysql.Server
    gcs_server: gcs.Server
    folder: Path
    name: str = field(default_factory=lambda: f"test_{uuid.uuid4().hex[:12]}")

    @property
    def environment(self) -> dict[str, str]:
        """What leads a process here."""
        return {
            "TAXI_WORKSPACE": str(self.folder),
            "MYSQL_HOST": self.mysql_server.host,
            "MYSQL_PORT": str(self.mysql_server.port),
            "MYSQL_USER": self.mysql_server.user,
            "MYSQL_PASSWORD": self.mysql_server.password,
            "MYSQL_DATABASE": self.name,
            "GCS_BUCKET": self.gcs_server.bucket,
            "GCS_PREFIX": self.name,
            "STORAGE_EMULATOR_HOST": self.gcs_server.url,
            "BIGQUERY_DATASET": "",
            "BIKESHARE_DATASET": "",
            "DUCKDB_DATABASE": "",
        }

    @functools.cached_property
    def place(self) -> Place:
        """As a step finds it."""
        return place()

    @property
    def mysql(self) -> Mysql:
        """The database."""
        return self.place.mysql

    def stations(self, rows: list[tuple[Any, ...]] = sample.STATIONS) -> None:
        """Replace the stations in the database."""
        fill(self.mysql, raw_table("stations"), rows, "stations")

    def put(self, key: str, data: bytes) -> None:
        """Replace an object."""
        bucket.put(self.place, key, data)

    def regions(self, data: bytes | None = None) -> None:
        """Replace the regions in the bucket."""
        self.put("regions.csv", data or sample.regions_csv())

    def trips(self, data: bytes, day: dt.date = DAY, name: str = "trips.json.gz") -> None:
        """Replace a day's trips in the bucket."""
        self.put(f"raw/trips/date={day}/{name}", data)

    def fill(self, *days: dt.date) -> None:
        """Generated stations, regions and trips of some days."""
        self.stations()
        self.regions()
        for day in days or (DAY,):
            self.trips(sample.trips(day), day)

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of the embedded warehouse, past the code under test; none while there is no such table."""
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
        """Meddle with the embedded warehouse."""
        with closing(duckdb.connect(self.folder / "warehouse.duckdb")) as connection:
            connection.execute("SET schema = 'bikeshare'")
            connection.execute(sql)

    def content(self, *tables: str) -> dict[str, list[str]]:
        """Every row of the tables, and what the ledger says of their content."""
        names = tables or TABLES
        found = {name: sorted(map(repr, self.ask(f"FROM {name}"))) for name in names}
        listed = ", ".join(f"'{name}'" for name in names)
        ledger = f"SELECT table_name, date, version, row_count FROM ledger WHERE table_name IN ({listed})"
        return found | {"ledger": sorted(map(repr, self.ask(ledger)))}
