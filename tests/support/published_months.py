"""Small trip files and helpers for download tests."""

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
    """Return a small month as Parquet."""
    buffer = io.BytesIO()
    pq.write_table(pa.table({"VendorID": range(5000)}), buffer)
    return buffer.getvalue()


def bring(text: str, workspace: Path, progress: Progress | None = None) -> SourceFile:
    """Fetch green 2020-04 from a source."""
    return fetch(GREEN, APRIL, resolve(text, load_settings()), workspace, progress)


def folder(workspace: Path) -> Path:
    """Return the folder of its downloads."""
    return workspace / "source" / "green" / "2020-04"


def left_in(workspace: Path) -> list[str]:
    """Return the names of all files in that folder except the lock."""
    return sorted(path.name for path in folder(workspace).iterdir() if path.name != ".lock")


def sha256(data: bytes) -> str:
    """In hex."""
    return hashlib.sha256(data).hexdigest()
