"""Fill the database and the bucket: from a folder of files, or with generated data."""

from __future__ import annotations

import datetime as dt
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nyc_taxi.errors import SettingsError
from nyc_taxi.pipelines.bikeshare import bucket, sample
from nyc_taxi.pipelines.bikeshare.config import NAME, Mysql, Place, seeded_marker
from nyc_taxi.pipelines.bikeshare.extract import quoted, transact
from nyc_taxi.pipelines.bikeshare.files import csv_rows
from nyc_taxi.pipelines.bikeshare.tables import RawTable, raw_table, raw_tables
from nyc_taxi.pipelines.bikeshare.values import parse_row
from nyc_taxi.settings import profile

log = logging.getLogger(__name__)

MYSQL_TYPES = {
    "int16": "SMALLINT",
    "int32": "INT",
    "int64": "BIGINT",
    "float64": "DOUBLE",
    "string": "VARCHAR(255)",
    "date": "DATE",
    "timestamp": "DATETIME(6)",
    "instant": "DATETIME(6)",
}
"""MySQL's type of a column by its type in tables.yaml."""


@dataclass
class Seeded:
    """What was put where."""

    tables: dict[str, int] = field(default_factory=dict)
    """Rows by table of the database."""
    objects: list[str] = field(default_factory=list)


def seed(folder: Path) -> Seeded:
    """Put a folder's files into the embedded database and into the bucket.

    `<table>.csv` becomes a table of the database; that of a table from the bucket also becomes its
    object. `trips_20180101.json.gz` becomes an object of that day. A table or object is replaced as a
    whole or not at all. Raises SettingsError when the folder has none of them, or when MYSQL_HOST
    names a database, which is not ours to fill.
    """
    if "MYSQL_HOST" in profile():
        raise SettingsError(
            "MYSQL_HOST names a database; only the embedded one is filled: leave MYSQL_HOST empty."
        )
    found = {table: folder / f"{table.name}.csv" for table in raw_tables() if table.origin != "daily"}
    found = {table: path for table, path in found.items() if path.exists()}
    days = _days(folder)
    if not found or not days:
        raise SettingsError(
            f"{folder}: has no {'table such as stations.csv' if not found else 'trips_YYYYMMDD.json.gz'};"
            " give the folder that has the files with --from."
        )
    place, done = Place(NAME), Seeded()
    mysql = place.mysql
    for table, path in found.items():
        rows = list(csv_rows(path.read_bytes(), str(path)))
        fill(mysql, table, rows, str(path))
        done.tables[table.name] = len(rows)
        if table.object:
            bucket.put(place, table.object, path)
            done.objects.append(place.uri(table.object))
    for day, path in days.items():
        key = bucket.day_folder(raw_table("trips"), day) + f"trips{''.join(path.suffixes)}"
        bucket.put(place, key, path)
        done.objects.append(place.uri(key))
    marker = seeded_marker()
    marker.parent.mkdir(parents=True, exist_ok=True)
    marker.write_text(f"{folder.resolve()}\n", encoding="utf-8")
    return done


def _days(folder: Path) -> dict[dt.date, Path]:
    days = {}
    for path in sorted(folder.glob("trips_*.json*")):
        named = re.fullmatch(r"trips_(\d{4})(\d\d)(\d\d)\.json(\.gz)?", path.name)
        if named:
            days[dt.date(int(named[1]), int(named[2]), int(named[3]))] = path
    return days


def provide_sample(place: Place, day: dt.date) -> None:
    """Have generated data where the run looks for it, up to the day's trips."""
    log.warning(
        "Nothing is configured and nothing was seeded: the run uses generated data, kept apart as %s."
        " Give it data with `taxi bikeshare seed --from FOLDER`, or set MYSQL_HOST and GCS_BUCKET.",
        place.name,
    )
    fill(place.mysql, raw_table("stations"), sample.STATIONS, "generated stations")
    regions, trips = raw_table("regions"), raw_table("trips")
    bucket.put(place, regions.object, sample.regions_csv())
    bucket.put(place, bucket.day_folder(trips, day) + "trips.json.gz", sample.trips(day))


def fill(mysql: Mysql, table: RawTable, rows: Sequence[Sequence[object]], what: str) -> None:
    """Make a table of the database equal to the rows: readers see the old ones or the new."""
    parsed = [parse_row(table.columns, row, f"{what}: row {number}") for number, row in enumerate(rows, 1)]
    columns = ", ".join(
        f"{quoted(column.name)} {MYSQL_TYPES[column.type]}{' NOT NULL' if column.required else ''}"
        for column in table.columns
    )

    def work(cursor: Any) -> None:
        name = quoted(table.name)
        cursor.execute(f"CREATE TABLE IF NOT EXISTS {name} ({columns})")
        cursor.execute(f"DELETE FROM {name}")
        cursor.executemany(f"INSERT INTO {name} VALUES ({', '.join(['%s'] * len(table.columns))})", parsed)

    transact(mysql, work)
