"""The steps of a day in order: what the command line runs, and what blocks and tasks call one by one.

Each step may be repeated at any time and needs nothing of the one before but what lies in the bucket
or the warehouse. What travels between them are references, never rows.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import logging
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from nyc_taxi.errors import SettingsError, TaxiError
from nyc_taxi.load.contract import Run
from nyc_taxi.pipelines.bikeshare import bucket
from nyc_taxi.pipelines.bikeshare.config import Place, place
from nyc_taxi.pipelines.bikeshare.extract import extract_table
from nyc_taxi.pipelines.bikeshare.files import csv_rows, write_parquet
from nyc_taxi.pipelines.bikeshare.load import load_day
from nyc_taxi.pipelines.bikeshare.tables import raw_table, raw_tables
from nyc_taxi.pipelines.bikeshare.transform import transform_day
from nyc_taxi.pipelines.bikeshare.warehouse import open_warehouse
from nyc_taxi.pipelines.bikeshare.warehouse.base import Entry
from nyc_taxi.settings import settings

log = logging.getLogger(__name__)

POLL = 60.0
"""Seconds between two looks for trips that have not come."""


@dataclass(frozen=True)
class Snapshot:
    """A table as it was when it was read, in the workspace; turns into a dict of plain values and back."""

    table: str
    date: str
    path: str
    rows: int
    sha256: str
    key: str
    """Where it is to lie in the flow's folder of the bucket."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        return cls(**plain)


@dataclass(frozen=True)
class Outcome:
    """What a run came to."""

    day: dt.date
    place: Place
    warehouse: str
    """Where it is, for people."""
    trips: list[str]
    """The day's objects of trips."""
    entries: list[Entry]
    """The ledger's rows of the day."""


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


def extract(day: dt.date, here: Place | None = None) -> list[Snapshot]:
    """Read the tables of which each day has a snapshot, as they are now, into the workspace.

    Where TAXI_BIKESHARE_EXTRACT is `export`, those of MySQL are left out: Cloud SQL puts them into the
    bucket by itself.
    """
    here = here or place()
    if here.generated:
        from nyc_taxi.pipelines.bikeshare.seed import provide_sample

        provide_sample(here, day)
    here.sweep()
    snapshots = []
    for table in raw_tables():
        path = here.folder / "extract" / str(day) / f"{table.name}.parquet"
        if table.origin == "mysql" and settings().bikeshare_extract == "mysql":
            rows = extract_table(here.mysql, table, path)
        elif table.origin == "bucket":
            landed, what = bucket.read(here, table.object), here.uri(table.object)
            rows = write_parquet(table, csv_rows(landed.data, what), path, what)
        else:
            continue
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        key = bucket.snapshot_key(table, day)
        snapshots.append(Snapshot(table.name, str(day), str(path), rows, sha256, key))
    return snapshots


def land(snapshots: list[Snapshot], here: Place | None = None) -> list[str]:
    """Put snapshots into the bucket, under the day they are of; the objects' URIs."""
    here = here or place()
    for snapshot in snapshots:
        path = Path(snapshot.path)
        if not path.exists():
            raise TaxiError(
                f"{path}: the extracted {snapshot.table} are gone; extract {snapshot.date} again."
            )
        if not bucket.put(here, snapshot.key, path):
            log.info("%s is in the bucket already.", snapshot.key)
    return [here.uri(snapshot.key) for snapshot in snapshots]


def wait_for_day(
    day: dt.date, timeout: float = 0.0, poll: float = POLL, here: Place | None = None
) -> list[str]:
    """Wait until the day's trips are in the bucket; their URIs.

    Raises NotPublished, which is worth an alert, when they have not come after `timeout` seconds.
    """
    here = here or place()
    return [here.uri(key) for key in bucket.wait(here, raw_table("trips"), day, timeout, poll)]


def load(day: dt.date, run: Run) -> list[Entry]:
    """Make the day's partitions of the raw tables equal to the bucket; see nyc_taxi.pipelines.bikeshare.load."""
    here = place()
    return load_day(here, open_warehouse(here), day, run)


def transform(day: dt.date, run: Run) -> list[Entry]:
    """Make the day's derived tables; see nyc_taxi.pipelines.bikeshare.transform."""
    return transform_day(open_warehouse(place()), day, run)


def run_day(day: dt.date, run: Run, timeout: float = 0.0, poll: float = POLL) -> Outcome:
    """All steps of one day."""
    here = place()
    warehouse = open_warehouse(here)
    land(extract(day, here), here)
    trips = wait_for_day(day, timeout, poll, here)
    entries = load_day(here, warehouse, day, run) + transform_day(warehouse, day, run)
    return Outcome(day, here, warehouse.describe(), trips, entries)
