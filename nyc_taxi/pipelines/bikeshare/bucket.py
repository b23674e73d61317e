"""The pipeline's folder in the bucket: the landing zone of every day's data.

raw/stations/date=2018-01-01/stations.parquet   landed by the flow (or stations.csv, by Cloud SQL's export)
raw/regions/date=2018-01-01/regions.parquet     landed by the flow, a snapshot of regions.csv
raw/trips/date=2018-01-01/trips.json.gz         stored by the provider of the trips, under any name
regions.csv                                     the current regions
"""

from __future__ import annotations

import datetime as dt
import hashlib
import logging
import time
from dataclasses import dataclass
from pathlib import Path

from nyc_taxi.errors import NotPublished
from nyc_taxi.lake.object_store.store import Content
from nyc_taxi.pipelines.bikeshare.config import BikeshareConfig
from nyc_taxi.pipelines.bikeshare.tables import RawTable
from nyc_taxi.retry import RetryPolicy

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
    """Return the folder of a table's objects of a day, with a trailing slash."""
    return f"raw/{table.name}/date={day}/"


def put(config: BikeshareConfig, key: str, data: Path | bytes) -> bool:
    """Store the bytes under the key; returns False if the object already holds them."""
    content = Content.of(data, MEDIA_TYPES.get(Path(key).suffix, "application/octet-stream"))

    def replace() -> bool:
        stored = config.bucket.head(key)
        if stored and stored.metadata.get("sha256") == content.sha256:
            return False
        config.bucket.put(
            key, content, {"sha256": content.sha256}, stored.tag if stored else None, lambda _: None
        )
        return True

    return RetryPolicy.of(config.settings).restart(replace)


def snapshot_key(table: RawTable, day: dt.date) -> str:
    """Return the key under which the flow lands a day's snapshot of a table."""
    return f"{day_folder(table, day)}{table.name}.parquet"


def keys_of(config: BikeshareConfig, table: RawTable, day: dt.date) -> list[str]:
    """Return the keys of a table's objects of a day, by name; empty if none have arrived."""
    keys = sorted(config.bucket.keys(day_folder(table, day)))
    if table.origin == "daily":
        return [key for key in keys if not key.endswith("/")]  # the console creates folders as objects
    if table.origin == "mysql" and config.settings.bikeshare_extract == "export":
        exported = day_folder(table, day) + f"{table.name}.csv"
        return [key for key in keys if key in (exported, f"{exported}.gz")]
    return [key for key in keys if key == snapshot_key(table, day)]


def fetch(config: BikeshareConfig, table: RawTable, day: dt.date) -> list[Landed]:
    """Return a table's objects of a day; raises NotPublished if it has none."""
    keys = keys_of(config, table, day)
    if not keys:
        where = config.uri(day_folder(table, day))
        raise NotPublished(
            f"{where}: the {table.name} have not arrived yet; run the day again when they have."
        )
    return [read(config, key) for key in keys]


def wait(config: BikeshareConfig, table: RawTable, day: dt.date, timeout: float, poll: float) -> list[str]:
    """Wait for a table's objects of a day and return their keys; polls every `poll` seconds.

    Raises NotPublished if none have arrived after `timeout` seconds; a timeout of 0 checks once.
    """
    deadline = time.monotonic() + timeout
    while not (keys := keys_of(config, table, day)):
        left = deadline - time.monotonic()
        if left <= 0:
            waited = f" within {timeout:.0f} s" if timeout else " yet"
            remedy = "request them, and run the day again when they have arrived"
            if config.generated:
                remedy = f"generate them with `taxi bikeshare seed {day}`"
            where = config.uri(day_folder(table, day))
            raise NotPublished(f"{where}: the {table.name} of {day} have not arrived{waited}; {remedy}.")
        log.info("The %s of %s have not arrived yet: waiting for %.0f s more.", table.name, day, left)
        time.sleep(min(poll, left))
    return keys


def read(config: BikeshareConfig, key: str) -> Landed:
    """Return one object; raises NotPublished naming it if it does not exist."""
    stored = config.bucket.read(key)
    if stored is None:
        raise NotPublished(f"{config.uri(key)}: is not in the bucket; upload it and run the day again.")
    return Landed(key, stored[0])
