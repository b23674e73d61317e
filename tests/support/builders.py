"""Builders of small months: source files, cleaned months, and Parquet months ready to load."""

from __future__ import annotations

import base64
import datetime as dt
import functools
import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from nyc_taxi.lake.object_store.store import PART_BYTES
from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.references import CleanMonth, MonthFiles, SourceFile
from nyc_taxi.schema import QUALITY, QUARANTINE, trip_columns
from nyc_taxi.schema.arrow import arrow_schema
from nyc_taxi.settings import PROJECT
from nyc_taxi.transform.clean import clean_month
from nyc_taxi.transform.parquet import write_month
from nyc_taxi.transform.read import Reader, Unreadable
from nyc_taxi.transform.rule_checks import load_rules
from nyc_taxi.transform.rules import Rules
from nyc_taxi.transform.version import month_version

RULES = PROJECT / "mage_project" / "rules.yaml"

GREEN_TRIP = {
    "VendorID": "2",
    "lpep_pickup_datetime": "2020-04-10 08:00:00",
    "lpep_dropoff_datetime": "2020-04-10 09:30:00",
    "store_and_fwd_flag": "N",
    "RatecodeID": "1",
    "PULocationID": "74",
    "DOLocationID": "166",
    "passenger_count": "1",
    "trip_distance": "2.5",
    "fare_amount": "8",
    "extra": ".5",
    "mta_tax": "0.5",
    "tip_amount": "1.25",
    "tolls_amount": "0",
    "ehail_fee": "",
    "improvement_surcharge": "0.3",
    "total_amount": "10.55",
    "payment_type": "1",
    "trip_type": "1",
    "congestion_surcharge": "0",
}
"""The cells of a faultless trip in the CSV format of green 2020-04."""


def green_csv(path: Path, rows: Iterable[Mapping[str, str]], end: str = "\r\n") -> SourceFile:
    """Write a CSV of green 2020-04 whose rows are GREEN_TRIP, one second apart, updated by `rows`.

    Names that GREEN_TRIP lacks become additional columns, empty by default.
    """
    rows = list(rows)
    header = list(dict.fromkeys([*GREEN_TRIP, *(name for row in rows for name in row)]))
    lines = [",".join(header)]
    for number, row in enumerate(rows):
        pickup = f"2020-04-10 08:{number // 60:02}:{number % 60:02}"
        cells = {**GREEN_TRIP, "lpep_pickup_datetime": pickup, **row}
        lines.append(",".join(cells.get(name, "") for name in header))
    path.write_text(end.join(lines) + end, encoding="utf-8", newline="")
    return source_file(path)


def source_file(path: Path, service: Service = Service.GREEN, month: str = "2020-04") -> SourceFile:
    """Return the reference to a file as if downloaded."""
    content = path.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    file = SourceFile(service, Month.parse(month), path.name, str(path), sha256, len(content))
    return file.at(path)


@functools.cache
def project_rules(service: Service) -> Rules:
    """Return the project's rules."""
    return load_rules(RULES, service)


def cleaned(source: SourceFile, folder: Path, rules: Rules | None = None, **options: Any) -> CleanMonth:
    """Clean a month into `folder`, by default with the project's rules."""
    rules = rules or project_rules(source.service)
    return clean_month(source, rules, folder, **{"threads": 1, "max_unreadable": 1.0, **options})


def parquet_month(source: SourceFile, folder: Path, rules: Rules | None = None, **options: Any) -> MonthFiles:
    """Clean a month and write it as Parquet, both below `folder`."""
    rules = rules or project_rules(source.service)
    version = month_version(source, rules)
    clean = cleaned(source, folder / f"scratch-{version}", rules, **options)
    return write_month(clean, rules, folder / version)


def month_files(
    folder: Path,
    version: str = "v1",
    month: str = "2020-04",
    trips: int = 20,
    quarantined: int = 3,
    service: Service = Service.GREEN,
    extra: dict[str, pa.Array] | None = None,
) -> MonthFiles:
    """Write a month's Parquet into a folder below `folder` and return its reference.

    `version` determines the rows and is their `source_version`; `extra` adds unknown columns to the trips,
    as arrays of equal length.
    """
    here = Month.parse(month)
    folder = folder / f"{service}-{month}-{version}"
    folder.mkdir(parents=True)
    pq.write_table(_trips(service, here, version, trips, extra or {}), folder / "trips.parquet")
    pq.write_table(_quarantine(version, trips, quarantined), folder / "quarantine.parquet")
    quality = [{"measure": "trips", "subject": "", "value": float(trips)}]
    pq.write_table(pa.Table.from_pylist(quality, arrow_schema(QUALITY)), folder / "quality.parquet")
    sha256 = hashlib.sha256(version.encode()).hexdigest()
    url = f"https://example.org/{service}_tripdata_{month}.parquet"
    source = SourceFile(service, here, "source.parquet", url, sha256, size=1, etag=f'"{version}"')
    return MonthFiles(
        service=service,
        month=here,
        source=source,
        local=folder,
        version=version,
        rows_in=trips + quarantined,
        trips=trips,
        quarantined={"reversed": quarantined} if quarantined else {},
        unknown_columns=list(extra or {}),
    )


def large_month(folder: Path, version: str = "v1") -> MonthFiles:
    """Return a month whose trips are uploaded in three parts."""
    size = 2 * PART_BYTES // 20  # length of each trip's incompressible text
    texts = [base64.b85encode(os.urandom(size)).decode() for _ in range(20)]
    return month_files(folder, version, extra={"noise": pa.array(texts)})


def _trips(service: Service, month: Month, version: str, count: int, extra: dict[str, pa.Array]) -> pa.Table:
    columns = trip_columns(service)
    schema = arrow_schema(columns, [pa.field(name, array.type) for name, array in extra.items()])
    values: dict[str, list[Any]] = {
        "pickup_datetime": [month.start + dt.timedelta(minutes=row) for row in range(count)],
        "dropoff_datetime": [
            month.start + dt.timedelta(minutes=row + 9, microseconds=1) for row in range(count)
        ],
        "trip_distance": [row / 10 for row in range(count)],
        "source_version": [version] * count,
        "source_row": list(range(1, count + 1)),
        "flags": [["long_wait"] if row % 5 == 0 else [] for row in range(count)],
    }
    arrays = [
        extra[field.name]
        if field.name in extra
        else pa.array(values.get(field.name, [None] * count), field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def _quarantine(version: str, trips: int, count: int) -> pa.Table:
    rows = [
        {"source_version": version, "source_row": trips + 1 + row, "reasons": ["reversed"], "raw": f"1,{row}"}
        for row in range(count)
    ]
    return pa.Table.from_pylist(rows, arrow_schema(QUARANTINE))


@dataclass
class ReadRows:
    """The rows of a file as read, by row number from 1."""

    rows: dict[int, dict[str, Any]]
    unreadable: dict[int, Unreadable]


def read_all(reader: Reader) -> ReadRows:
    """Read a whole file, and assert that every row, readable or not, is returned once and in order."""
    read, done = ReadRows({}, {}), 0
    for block in reader.blocks():
        chunk = reader.parse(block)
        assert chunk.batch.schema == reader.schema
        readable = (chunk.rows + done + 1).tolist()
        read.rows |= zip(readable, chunk.batch.to_pylist(), strict=True)
        broken = [item.row + done + 1 for item in chunk.unreadable]
        read.unreadable |= {item.row + done + 1: replace(item, row=0) for item in chunk.unreadable}
        assert readable == sorted(readable)
        assert broken == sorted(broken)
        assert sorted([*readable, *broken]) == list(range(done + 1, done + chunk.rows_in + 1))
        done += chunk.rows_in
    return read
