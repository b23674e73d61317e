"""File formats of the pipeline: reads CSV and JSON lines, writes Parquet."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import itertools
import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from nyc_taxi.errors import NotTripData, SchemaError
from nyc_taxi.files import replacing
from nyc_taxi.pipelines.bikeshare.tables import RawTable
from nyc_taxi.pipelines.bikeshare.values import parse_row

BATCH = 10_000
"""Rows per batch."""

OTHER = "other"
"""Name of the optional column that keeps unknown fields as JSON."""


def write_parquet(table: RawTable, rows: Iterable[Sequence[object]], path: Path, what: str) -> int:
    """Write rows, with values in the order of the columns, atomically; returns their number.

    The same rows give the same bytes. Raises SchemaError naming row, column and source (`what`) if a value
    does not fit its column.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    count = 0
    with replacing(path) as part, pq.ParquetWriter(part, table.schema, compression="zstd") as writer:
        pending = iter(rows)
        while batch := list(itertools.islice(pending, BATCH)):
            writer.write_table(_arrow(table, batch, count, what))
            count += len(batch)
    return count


def _arrow(table: RawTable, rows: list[Sequence[object]], before: int, what: str) -> pa.Table:
    parsed = [
        parse_row(table.columns, row, f"{what}: row {number}") for number, row in enumerate(rows, before + 1)
    ]
    columns = zip(zip(*parsed, strict=True), table.schema.types, strict=True)
    return pa.table([pa.array(values, kind) for values, kind in columns], table.schema)


def csv_rows(data: bytes, what: str) -> Iterator[list[str | None]]:
    """Yield rows of standard CSV (RFC 4180) without a header; an empty field is None."""
    text = io.StringIO(_text(data, what), newline="")
    try:
        for row in csv.reader(text, strict=True):
            yield [value or None for value in row]
    except csv.Error as error:
        raise NotTripData(f"{what}: is not CSV ({error}).") from None


def json_rows(data: bytes, table: RawTable, what: str) -> Iterator[list[object]]:
    """Yield rows of JSON lines, matched to columns by field name."""
    names = [column.name for column in table.columns]
    for number, line in enumerate(_text(data, what).split("\n"), 1):
        if not line.strip():
            continue
        try:
            fields = json.loads(line)
        except ValueError as error:
            raise NotTripData(f"{what}: line {number} is not JSON ({error}): {line[:80]!r}.") from None
        if not isinstance(fields, dict):
            raise NotTripData(f"{what}: line {number} is JSON but not an object: {line[:80]!r}.")
        row = [fields.pop(name, None) for name in names]
        if fields:
            row = _with_others(row, names, fields, f"{what}: line {number}")
        yield row


def _with_others(row: list[object], names: list[str], fields: dict[str, Any], where: str) -> list[object]:
    if OTHER not in names:
        raise SchemaError(f"{where} has a field without a column: {next(iter(fields))}; add it to the table.")
    position = names.index(OTHER)
    if row[position] is not None:
        fields[OTHER] = row[position]
    row[position] = json.dumps(fields, ensure_ascii=False, sort_keys=True)
    return row


def unpacked(data: bytes, what: str) -> bytes:
    """Return the bytes, decompressed if they are gzip, regardless of the file's name."""
    if not data.startswith(b"\x1f\x8b"):
        return data
    with contextlib.suppress(EOFError, zlib.error, gzip.BadGzipFile):
        return gzip.decompress(data)
    raise NotTripData(f"{what}: the gzip file is truncated or damaged; upload it again.")


def _text(data: bytes, what: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise NotTripData(f"{what}: is not UTF-8 (byte {error.start}).") from None
