"""The steps of a day in order: what the command line runs, and what blocks and tasks call one by one.

Each step can be repeated at any time. A step needs nothing from the one before except what lies in the
bucket or the warehouse: references travel between steps, never rows.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import logging
import re
from collections.abc import Sequence
from pathlib import Path

import pydantic.dataclasses

from nyc_taxi.errors import SettingsError, TaxiError
from nyc_taxi.model.record import CONFIG, Record
from nyc_taxi.model.run import Run
from nyc_taxi.pipelines.bikeshare import bucket
from nyc_taxi.pipelines.bikeshare.config import BikeshareConfig
from nyc_taxi.pipelines.bikeshare.extract import extract_table
from nyc_taxi.pipelines.bikeshare.files import csv_rows, write_parquet
from nyc_taxi.pipelines.bikeshare.ledger import Entry
from nyc_taxi.pipelines.bikeshare.load import load_day
from nyc_taxi.pipelines.bikeshare.transform import transform_day
from nyc_taxi.pipelines.bikeshare.warehouse import open_warehouse
from nyc_taxi.settings import load_settings

log = logging.getLogger(__name__)

POLL = 60.0
"""Seconds between two checks for trips that have not arrived."""


@pydantic.dataclasses.dataclass(frozen=True, config=CONFIG)
class Snapshot(Record):
    """A table as it was when it was read, as a Parquet file in the workspace."""

    table: str
    date: str
    path: str
    rows: int
    sha256: str
    key: str
    """Of its object in the pipeline's folder of the bucket."""


@pydantic.dataclasses.dataclass(frozen=True, config=CONFIG)
class DayResult(Record):
    """The result of a run."""

    day: dt.date
    generated: bool
    """Whether the data is generated."""
    warehouse: str
    """Where it is, for people."""
    trips: list[str]
    """URIs of the day's objects of trips."""
    entries: list[Entry]
    """The ledger entries of the day."""


def parse_day(text: str | dt.date) -> dt.date:
    """Read `2018-01-01`; raises SettingsError otherwise."""
    if isinstance(text, dt.date):
        return text
    try:
        if re.fullmatch(r"\d{4}-\d\d-\d\d", text.strip()):
            return dt.date.fromisoformat(text.strip())
    except ValueError:
        pass
    raise SettingsError(f"day {text!r} is not a day: write it as 2018-01-31.")


def load_config() -> BikeshareConfig:
    """The configuration, from the settings as they are now."""
    return BikeshareConfig.from_settings(load_settings())


def extract(config: BikeshareConfig, day: dt.date) -> list[Snapshot]:
    """Read the tables of which each day has a snapshot, as they are now, into the workspace.

    With TAXI_BIKESHARE_EXTRACT=export it skips those of MySQL: Cloud SQL exports them to the bucket itself.
    Raises SettingsError where there is no database to read.
    """
    config.remove_leftovers()
    snapshots = []
    for table in config.tables:
        path = config.folder / "extract" / str(day) / f"{table.name}.parquet"
        if table.origin == "mysql" and config.settings.bikeshare_extract == "mysql":
            rows = extract_table(config.database, table, path)
        elif table.origin == "bucket":
            landed, what = bucket.read(config, table.object), config.uri(table.object)
            rows = write_parquet(table, csv_rows(landed.data, what), path, what)
        else:
            continue
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        key = bucket.snapshot_key(table, day)
        snapshots.append(Snapshot(table.name, str(day), str(path), rows, sha256, key))
    return snapshots


def land(config: BikeshareConfig, snapshots: Sequence[Snapshot]) -> list[str]:
    """Put snapshots into the bucket, each under its day; returns the objects' URIs."""
    for snapshot in snapshots:
        path = Path(snapshot.path)
        if not path.exists():
            raise TaxiError(
                f"{path}: the extracted {snapshot.table} no longer exist; extract {snapshot.date} again."
            )
        if not bucket.put(config, snapshot.key, path):
            log.info("%s is already in the bucket.", snapshot.key)
    return [config.uri(snapshot.key) for snapshot in snapshots]


def wait_for_day(
    config: BikeshareConfig, day: dt.date, timeout: float = 0.0, poll: float = POLL
) -> list[str]:
    """Wait until the day's trips are in the bucket; returns their URIs.

    Raises NotPublished, which is worth an alert, when they have not arrived after `timeout` seconds.
    """
    return [config.uri(key) for key in bucket.wait(config, config.table("trips"), day, timeout, poll)]


def load(config: BikeshareConfig, day: dt.date, run: Run) -> list[Entry]:
    """Make the day's partitions of the raw tables equal to the bucket; see `pipelines.bikeshare.load`."""
    return load_day(config, open_warehouse(config), day, run)


def transform(config: BikeshareConfig, day: dt.date, run: Run) -> list[Entry]:
    """Compute the day's derived tables; see `pipelines.bikeshare.transform`."""
    return transform_day(config, open_warehouse(config), day, run)


def run_day(
    config: BikeshareConfig, day: dt.date, run: Run, timeout: float = 0.0, poll: float = POLL
) -> DayResult:
    """Run all steps of one day."""
    warehouse = open_warehouse(config)
    land(config, extract(config, day))
    trips = wait_for_day(config, day, timeout, poll)
    entries = load_day(config, warehouse, day, run) + transform_day(config, warehouse, day, run)
    return DayResult(day, config.generated, warehouse.describe(), trips, entries)
