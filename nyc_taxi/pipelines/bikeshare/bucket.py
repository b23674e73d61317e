"""The flow's folder in the bucket, where every day's data lies before it is loaded.

raw/stations/date=2018-01-01/stations.parquet   landed by the flow (or stations.csv, by Cloud SQL's export)
raw/regions/date=2018-01-01/regions.parquet     landed by the flow, a snapshot of regions.csv
raw/trips/date=2018-01-01/trips.json.gz         put there by whoever has the trips, under any name
regions.csv                                     the regions as they are now
"""

from __future__ import annotations

import datetime as dt
import hashlib
import logging
import time
from dataclasses import dataclass
from pathlib import Path

import stamina

from nyc_taxi.errors import NotPublished
from nyc_taxi.load.object_store.store import Content, PreconditionFailed
from nyc_taxi.pipelines.bikeshare.config import Place
from nyc_taxi.pipelines.bikeshare.tables import RawTable
from nyc_taxi.settings import settings

log = logging.getLogger(__name__)

MEDIA_TYPES = {
    ".parquet": "application/vnd.apache.parquet",
    ".csv": "text/csv",
    ".json": "application/x-ndjson",
    ".gz": "application/gzip",
}


@dataclass(frozen=True)
class Landed:
    """An object of the folder."""

    key: str
    data: bytes

    @property
    def sha256(self) -> str:
        """Of its bytes."""
        return hashlib.sha256(self.data).hexdigest()


def day_folder(table: RawTable, day: dt.date) -> str:
    """Where a table's objects of a day lie; ends with a slash."""
    return f"raw/{table.name}/date={day}/"


def put(place: Place, key: str, data: Path | bytes) -> bool:
    """Have the bytes under the key; False when they are there already."""
    content = Content.of(data, MEDIA_TYPES.get(Path(key).suffix, "application/octet-stream"))
    for attempt in stamina.retry_context(on=PreconditionFailed, attempts=settings().retries, timeout=None):
        with attempt:
            there = place.bucket.head(key)
            if there and there.metadata.get("sha256") == content.sha256:
                return False
            place.bucket.put(
                key, content, {"sha256": content.sha256}, there.tag if there else None, lambda _: None
            )
    return True


def snapshot_key(table: RawTable, day: dt.date) -> str:
    """Where the flow lands a day's snapshot of a table."""
    return f"{day_folder(table, day)}{table.name}.parquet"


def keys_of(place: Place, table: RawTable, day: dt.date) -> list[str]:
    """The objects that are a table's rows of a day, by name; none where they have not come."""
    keys = sorted(place.bucket.keys(day_folder(table, day)))
    if table.origin == "daily":
        return [key for key in keys if not key.endswith("/")]  # a folder made by hand is an object
    if table.origin == "mysql" and settings().bikeshare_extract == "export":
        exported = day_folder(table, day) + f"{table.name}.csv"
        return [key for key in keys if key in (exported, f"{exported}.gz")]
    return [key for key in keys if key == snapshot_key(table, day)]


def fetch(place: Place, table: RawTable, day: dt.date) -> list[Landed]:
    """A table's objects of a day; raises NotPublished where there are none."""
    keys = keys_of(place, table, day)
    if not keys:
        where = place.uri(day_folder(table, day))
        raise NotPublished(f"{where}: the {table.name} are not there yet; run the day again when they are.")
    return [read(place, key) for key in keys]


def wait(place: Place, table: RawTable, day: dt.date, timeout: float, poll: float) -> list[str]:
    """The keys of a table's objects of a day, as soon as there are any; looks every `poll` seconds.

    Raises NotPublished when there are none after `timeout` seconds; with a timeout of 0 it looks once.
    """
    deadline = time.monotonic() + timeout
    while not (keys := keys_of(place, table, day)):
        left = deadline - time.monotonic()
        if left <= 0:
            waited = f" within {timeout:.0f} s" if timeout else " yet"
            raise NotPublished(
                f"{place.uri(day_folder(table, day))}: the {table.name} of {day} have not come{waited};"
                " ask for them, and run the day again when they are there."
            )
        log.info("The %s of %s are not there yet: looking again for %.0f s.", table.name, day, left)
        time.sleep(min(poll, left))
    return keys


def read(place: Place, key: str) -> Landed:
    """One object; raises NotPublished that names it when it is not there."""
    found = place.bucket.read(key)
    if found is None:
        raise NotPublished(f"{place.uri(key)}: is not in the bucket; put it there and run the day again.")
    return Landed(key, found[0])
