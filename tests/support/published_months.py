"""Small trip files and what the tests of downloads ask of them."""

import gzip
import hashlib
import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from nyc_taxi.extract.fetch import fetch
from nyc_taxi.extract.sources import resolve
from nyc_taxi.extract.transfer import Progress
from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.references import SourceFile
from nyc_taxi.settings import load_settings

GREEN = Service.GREEN
APRIL = Month(2020, 4)
CSV = b"VendorID,fare_amount\r\n" + b"".join(b"2,%d.5\r\n" % fare for fare in range(10_000))
CSV_GZ = gzip.compress(CSV, mtime=0)


def parquet() -> bytes:
    """A small month as Parquet."""
    buffer = io.BytesIO()
    pq.write_table(pa.table({"VendorID": range(5000)}), buffer)
    return buffer.getvalue()


def bring(text: str, workspace: Path, progress: Progress | None = None) -> SourceFile:
    """Fetch green 2020-04 from a source."""
    return fetch(GREEN, APRIL, resolve(text, load_settings()), workspace, progress)


def folder(workspace: Path) -> Path:
    """Where its downloads lie."""
    return workspace / "source" / "green" / "2020-04"


def left_in(workspace: Path) -> list[str]:
    """The names of all files there but the lock."""
    return sorted(path.name for path in folder(workspace).iterdir() if path.name != ".lock")


def sha256(data: bytes) -> str:
    """In hex."""
    return hashlib.sha256(data).hexdigest()
