"""Files with far too little or too much content for their size."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.support.builders import GREEN_TRIP

MEGABYTE = 1 << 20
HEADER = ",".join(GREEN_TRIP) + "\r\n"
TRIPS = HEADER + (",".join(GREEN_TRIP.values()) + "\r\n") * 1000


def parquet(path: Path, rows: int, **columns: pa.Array | pa.ChunkedArray) -> Path:
    """Write trips of green 2020-04 that are equal except for `columns`."""
    values: dict[str, object] = {"VendorID": 1, "trip_distance": 1.5, "fare_amount": 5.0, "total_amount": 5.0}
    values |= dict.fromkeys(("lpep_pickup_datetime", "lpep_dropoff_datetime"), dt.datetime(2020, 4, 1, 10))
    repeated = {name: pa.repeat(pa.scalar(value), rows) for name, value in values.items()}
    pq.write_table(pa.table({**repeated, **columns}), path, compression="zstd", store_schema=False)
    return path


def text(path: Path, head: str, piece: bytes, megabytes: int) -> Path:
    """Write a CSV of `head` followed by a repeated piece."""
    with path.open("wb") as file:
        file.write(head.encode())
        for _ in range(megabytes):
            file.write(piece * (MEGABYTE // len(piece)))
    return path


def long_texts(rows: int) -> pa.Array:
    """Return the same 50 kB for each row, dictionary-encoded: 12 kB of Parquet."""
    return pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int32()), rows), ["y" * 50_000])


def _nested(path: Path) -> Path:
    texts = long_texts(20_000).dictionary_decode()
    return parquet(path, 20_000, note=pa.StructArray.from_arrays([texts], ["text"]))


def _huge_pages(path: Path) -> Path:
    rows = 2_000_000
    columns = {f"c{place}": pa.array(range(rows), pa.int64()) for place in range(6)}
    table = pq.read_table(parquet(path, rows, **columns))
    pq.write_table(table, path, use_dictionary=False, data_page_size=1 << 30, max_rows_per_page=rows)
    return path


def _wide_lines(path: Path) -> Path:
    line = ",".join(GREEN_TRIP.values()) + "," + "y" * 4000
    return text(path, HEADER.replace("\r", ",note\r"), f"{line[:4080]}\r\n".encode(), 64)


def _different_texts(path: Path) -> Path:
    texts = [f"{number:08x}" for number in range(150_000)]
    return parquet(path, 150_000, **{f"c{place}": pa.array(texts) for place in range(33)})


def _overflowing_dictionary(path: Path) -> Path:
    """Write a column that has long texts in its dictionary, and short ones in plain pages after it."""
    short = pa.array([f"{number:019}" for number in range(65_536)]).dictionary_encode()
    return parquet(path, 131_072, note=pa.chunked_array([long_texts(65_536), short]))


def random_doubles(path: Path, rows: int) -> Path:
    """Write as many columns as a file may have of values that do not compress."""
    rng = np.random.default_rng(1)
    times = pa.array(np.datetime64("2020-04-01", "us") + np.arange(rows))
    columns = {f"c{place}": pa.array(rng.random(rows)) for place in range(34)}
    return parquet(path, rows, lpep_pickup_datetime=times, lpep_dropoff_datetime=times, **columns)


SHAPES: dict[str, tuple[str, Callable[[Path], Path], str]] = {
    "no end of the first line": (
        "csv",
        lambda path: text(path, "", b"a,", 64),
        "is text with a first line of more than",
    ),
    "no end of a line": ("csv", lambda path: text(path, TRIPS, b"a", 64), "has a line of more than 4 kB"),
    "commas": ("csv", lambda path: text(path, HEADER, b",", 64), "has a line of more than 4 kB"),
    "lines of a byte": ("csv", lambda path: text(path, TRIPS, b"x\n", 64), "lines of a few bytes each"),
    "blank lines": ("csv", lambda path: text(path, TRIPS, b"\n", 64), "bytes of blank lines"),
    "wide lines": ("csv", _wide_lines, "has rows of 4,0.. bytes on average"),
    "huge pages": ("parquet", _huge_pages, "has pages of .* write it in smaller pages"),
    "an open quote": (
        "csv",
        lambda path: text(path, HEADER + '"', TRIPS.removeprefix(HEADER).encode(), 64),
        "most of its rows are equal",
    ),
    "long texts in a dictionary": (
        "parquet",
        lambda path: parquet(path, 65_536, store_and_fwd_flag=long_texts(65_536)),
        "has rows of 50,000 bytes on average",
    ),
    "long texts in a column that is not known": (
        "parquet",
        lambda path: parquet(path, 65_536, note=long_texts(65_536)),
        "has rows of 50,000 bytes on average",
    ),
    "long texts in a struct": ("parquet", _nested, "has rows of 50,000 bytes on average"),
    "long texts in a dictionary that overflows": (
        "parquet",
        _overflowing_dictionary,
        "has rows of 50,000 bytes on average",
    ),
    "equal rows": ("parquet", lambda path: parquet(path, 6_000_000), "has 6,000,000 rows in .* bytes"),
    "empty rows": (
        "csv",
        lambda path: text(path, HEADER, b"," * 19 + b"\n", 64),
        "lines of a few bytes each",
    ),
    "different texts": ("parquet", _different_texts, "has .* texts in the dictionaries of a row group"),
    "many columns": (
        "parquet",
        lambda path: parquet(path, 2000, **{f"c{n}": pa.nulls(2000, pa.int64()) for n in range(1700)}),
        "has 1,706 columns, and at most 40",
    ),
}
"""By name: the file's ending, its writer, and a pattern of the error."""
