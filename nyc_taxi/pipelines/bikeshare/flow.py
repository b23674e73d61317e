"""The steps of a day in order; the command line runs them all, blocks and tasks call them one by one.

Each step is idempotent. Steps exchange data through the bucket and the warehouse only; they pass each other
references, never rows.
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
"""Seconds between two checks for the day's trips."""


@pydantic.dataclasses.dataclass(frozen=True, config=CONFIG)
class Snapshot(Record):
    """A snapshot of a table, as a Parquet file in the workspace."""

    table: str
    date: str
    path: str
    rows: int
    sha256: str
    key: str
    """Key of its object in the pipeline's folder of the bucket."""


@pydantic.dataclasses.dataclass(frozen=True, config=CONFIG)
class DayResult(Record):
    """The result of a run."""

    day: dt.date
    generated: bool
    """Whether the data is generated."""
    warehouse: str
    """Location of the warehouse, for users."""
    trips: list[str]
    """URIs of the day's trip objects."""
    entries: list[Entry]
    """The ledger entries of the day."""


def parse_day(text: str | dt.date) -> dt.date:
    """Parse `2018-01-01`; raises SettingsError otherwise."""
    if isinstance(text, dt.date):
        return text
    try:
        if re.fullmatch(r"\d{4}-\d\d-\d\d", text.strip()):
            return dt.date.fromisoformat(text.strip())
    except ValueError:
        pass
    raise SettingsError(f"day {text!r} is not a day: write it as 2018-01-31.")


def load_config() -> BikeshareConfig:
    """Return the configuration of the current settings."""
    return BikeshareConfig.from_settings(load_settings())


def extract(config: BikeshareConfig, day: dt.date) -> list[Snapshot]:
    """Snapshot the current state of all tables with daily snapshots into the workspace.

    With TAXI_BIKESHARE_EXTRACT=export it skips MySQL's tables, which Cloud SQL exports to the bucket itself.
    Raises SettingsError if no database exists.
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
    """Upload snapshots to the bucket, each under its day; returns the objects' URIs."""
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

    Raises NotPublished, which deserves an alert, if they have not arrived after `timeout` seconds.
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
