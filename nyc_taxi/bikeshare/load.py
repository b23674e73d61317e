"""A day from the bucket into the raw tables: all tables in one transaction, each with its ledger row."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import io
import json
import logging
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from nyc_taxi.bikeshare import bucket, ledger
from nyc_taxi.bikeshare.bucket import Landed
from nyc_taxi.bikeshare.checks import check_day
from nyc_taxi.bikeshare.derived import DATE, LEDGER
from nyc_taxi.bikeshare.export_csv import export_rows
from nyc_taxi.bikeshare.files import csv_rows, json_rows, write_parquet
from nyc_taxi.bikeshare.place import Place
from nyc_taxi.bikeshare.tables import RawTable, raw_tables
from nyc_taxi.bikeshare.warehouse.base import Entry, Test, Warehouse
from nyc_taxi.destinations.base import Run
from nyc_taxi.errors import NotTripData, SchemaError
from nyc_taxi.schema.warehouse import Table
from nyc_taxi.settings import settings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Part:
    """A table's rows of the day, ready to be loaded."""

    table: RawTable
    path: Path
    rows: int
    source: str
    version: str


def warehouse_table(table: RawTable) -> Table:
    """A raw table as the warehouse has it: the columns, and before them the day."""
    return Table(table.raw_name, table.description, (DATE,), table.columns)


def load_day(place: Place, warehouse: Warehouse, day: dt.date, run: Run) -> list[Entry]:
    """Make the day's partition of every raw table equal to what the bucket holds; its ledger rows.

    Nothing is loaded when the tables hold these very objects already. Raises NotPublished when a
    table's objects of the day are not there, SchemaError or NotTripData when they cannot be read,
    SourceError when a check refuses them; nothing was changed then.
    """
    started = dt.datetime.now(dt.UTC)
    store = place.bucket()
    found = {table: bucket.fetch(place, store, table, day) for table in raw_tables()}
    versions = {table.raw_name: _version(table, objects) for table, objects in found.items()}
    there = ledger.of_day(warehouse, day)
    if all(name in there and there[name].version == version for name, version in versions.items()):
        log.info("The warehouse holds the raw tables of %s already.", day)
        return [there[name] for name in versions]
    folder = place.folder / "load" / str(day)
    try:
        parts = [
            _part(place, table, objects, folder, versions[table.raw_name]) for table, objects in found.items()
        ]
        counts = check_day(day, {part.table: part.path for part in parts})
        entries = [_entry(part, day, counts[part.table.name], started, run) for part in parts]
        _replace(warehouse, day, parts, entries, run)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return entries


def _version(table: RawTable, objects: list[Landed]) -> str:
    """Names the content: the objects and how they are read."""
    parts = [str(table.schema), settings().bikeshare_escape, *(landed.sha256 for landed in objects)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def _part(place: Place, table: RawTable, objects: list[Landed], folder: Path, version: str) -> _Part:
    path = folder / f"{table.name}.parquet"
    sources = [place.uri(landed.key) for landed in objects]

    def rows() -> Iterator[object]:
        for landed, uri in zip(objects, sources, strict=True):
            yield from _rows(table, landed, uri)

    count = write_parquet(table, rows(), path, f"{table.name} of {place.uri(bucket.day_folder(table, day=...))}")
    return _Part(table, path, count, ", ".join(sources), version)
