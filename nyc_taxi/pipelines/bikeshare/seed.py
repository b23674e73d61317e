"""`taxi bikeshare seed`: fill the database and the bucket, with generated data or from a folder of files."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa

from nyc_taxi.errors import SettingsError
from nyc_taxi.pipelines.bikeshare import bucket, sample
from nyc_taxi.pipelines.bikeshare.config import NAME, BikeshareConfig
from nyc_taxi.pipelines.bikeshare.database import Database, quoted
from nyc_taxi.pipelines.bikeshare.files import csv_rows
from nyc_taxi.pipelines.bikeshare.tables import RawTable
from nyc_taxi.pipelines.bikeshare.values import parse_row
from nyc_taxi.settings import Settings

SQL_TYPES = {
    "int16": "SMALLINT",
    "int32": "INT",
    "int64": "BIGINT",
    "float64": "DOUBLE",
    "string": "VARCHAR(255)",
    "date": "DATE",
    "timestamp": "DATETIME(6)",
    "instant": "DATETIME(6)",
}
"""MySQL column type by type in tables.yaml; SQLite accepts the same names."""


@dataclass
class Seeded:
    """The result of `taxi bikeshare seed`, for users."""

    config: BikeshareConfig
    written: list[str] = field(default_factory=list)
    """Tables with their rows, and the URIs of objects."""
    kept: list[str] = field(default_factory=list)
    """Existing tables and objects, left unchanged."""

    def fill(self, table: RawTable, rows: Sequence[Sequence[object]], what: str) -> None:
        """Fill a table of the database; see the function `fill`."""
        database = self.config.database
        filled = fill(database, table, rows, what)
        where = f"{database.where}, table {table.name}"
        if filled:
            self.written.append(f"{where}: {len(rows):,} rows")
        else:
            self.kept.append(where)

    def put(self, key: str, data: Path | bytes, replace: bool) -> None:
        """Store an object in the flow's folder of the bucket."""
        if replace or self.config.bucket.head(key) is None:
            bucket.put(self.config, key, data)
            self.written.append(self.config.uri(key))
        else:
            self.kept.append(self.config.uri(key))


def seed_sample(settings: Settings, day: dt.date) -> Seeded:
    """Generate stations, regions and the trips of a day; replaces generated data only.

    Raises SettingsError if files were seeded or Cloud SQL exports the stations, because generated trips
    would mix with real ones.
    """
    config = BikeshareConfig.from_settings(settings)
    seeded = Seeded(config)
    own = config.generated
    if not own and "MYSQL_HOST" not in settings.connections:
        raise SettingsError(
            "the bike-share holds real data, which generated data must not mix with:"
            " give files with --from, or set another TAXI_WORKSPACE."
        )
    seeded.fill(config.table("stations"), sample.STATIONS, "generated stations")
    seeded.put(config.table("regions").object, sample.regions_csv(), replace=own)
    seeded.put(
        bucket.day_folder(config.table("trips"), day) + "trips.json.gz", sample.trips(day), replace=own
    )
    return seeded


def seed_files(settings: Settings, folder: Path) -> Seeded:
    """Load a folder's files into the database and the bucket.

    `<table>.csv` becomes a table of the database, or the object of a table from the bucket;
    `trips_20180101.json.gz` becomes an object of that day. Each is replaced atomically. Raises SettingsError
    if the folder has none of them.
    """
    config = BikeshareConfig(NAME, settings)
    tables = {table: folder / f"{table.name}.csv" for table in config.tables if table.origin != "daily"}
    tables = {table: path for table, path in tables.items() if path.exists()}
    days = _days(folder)
    if not tables or not days:
        raise SettingsError(
            f"{folder}: has no {'trips_YYYYMMDD.json.gz' if tables else 'table such as stations.csv'};"
            " name the folder of the files with --from."
        )
    seeded = Seeded(config)
    for table, path in tables.items():
        if table.object:
            seeded.put(table.object, path, replace=True)
        else:
            seeded.fill(table, list(csv_rows(path.read_bytes(), str(path))), str(path))
    for day, path in days.items():
        key = bucket.day_folder(config.table("trips"), day) + f"trips{''.join(path.suffixes)}"
        seeded.put(key, path, replace=True)
    return seeded


def _days(folder: Path) -> dict[dt.date, Path]:
    days = {}
    for path in sorted(folder.glob("trips_*.json*")):
        match = re.fullmatch(r"trips_(\d{4})(\d\d)(\d\d)\.json(\.gz)?", path.name)
        if match:
            days[dt.date(int(match[1]), int(match[2]), int(match[3]))] = path
    return days


def fill(database: Database, table: RawTable, rows: Sequence[Sequence[object]], what: str) -> bool:
    """Replace a table of the demo database by the rows, atomically; returns whether it was filled.

    In MySQL, fills only missing or empty tables, because the database is not ours. Raises SchemaError if a
    row does not fit the columns.
    """
    names = [column.name for column in table.columns]
    values = [
        dict(zip(names, parse_row(table.columns, row, f"{what}: row {number}"), strict=True))
        for number, row in enumerate(rows, 1)
    ]
    columns = ", ".join(
        f"{quoted(column.name)} {SQL_TYPES[column.type]}{' NOT NULL' if column.required else ''}"
        for column in table.columns
    )
    name = quoted(table.name)
    if database.file:
        database.file.parent.mkdir(parents=True, exist_ok=True)
        database.file.touch()
        values = [  # SQLite has no type for dates
            {key: str(value) if isinstance(value, dt.date) else value for key, value in row.items()}
            for row in values
        ]
    with database.connect() as connection, connection.begin():
        if database.file:
            connection.exec_driver_sql("BEGIN IMMEDIATE")  # sqlite3 would begin only at the INSERT
            connection.exec_driver_sql(f"DROP TABLE IF EXISTS {name}")
        charset = "" if database.file else " DEFAULT CHARACTER SET utf8mb4"
        connection.exec_driver_sql(f"CREATE TABLE IF NOT EXISTS {name} ({columns}){charset}")
        if connection.exec_driver_sql(f"SELECT 1 FROM {name} LIMIT 1").first():
            return False
        if values:
            places = ", ".join(f":{name}" for name in names)
            connection.execute(sa.text(f"INSERT INTO {name} VALUES ({places})"), values)
        return True
