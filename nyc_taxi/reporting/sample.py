"""A random sample of a month, the same rows at every stage: cleaned, derived, or Parquet.

A row is drawn by a hash of its `source_row`, so that drawing depends on nothing else. One batch or row group
is in memory at a time.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from nyc_taxi.model.references import CleanMonth, MonthFiles
from nyc_taxi.schema import QUARANTINE
from nyc_taxi.schema.arrow import arrow_schema
from nyc_taxi.transform.judged import judged_batches, trips_schema
from nyc_taxi.transform.read import UNREADABLE
from nyc_taxi.transform.rules import Rules

_SEED = 20_200_401


@dataclass(frozen=True)
class Sample:
    """Rows of a month in the order of the file."""

    trips: pa.Table
    quarantined: pa.Table
    """In the schema of the trips, and a column `reasons`; of unreadable rows, whose values are null, the
    reason is all there is."""


def of_staged(clean: CleanMonth, rules: Rules, trips: int, quarantined: int) -> Sample:
    """Draw from a cleaned or derived month; raises FileNotFoundError when its scratch files are gone."""
    most = _limit(trips, clean.trips), _limit(quarantined, clean.rows_quarantined)

    def select(source_rows: np.ndarray, is_trip: np.ndarray) -> np.ndarray:
        return _priority(source_rows) <= np.where(is_trip, *most)

    schema = trips_schema(clean)
    pairs = list(judged_batches(clean, rules, select))
    good = pa.Table.from_batches([good for good, _ in pairs], schema)
    bad = pa.Table.from_batches([bad for _, bad in pairs], arrow_schema(QUARANTINE))
    return Sample(
        good.take(_drawn(good["source_row"].to_numpy(), trips)),
        _as_trips(bad.take(_drawn(bad["source_row"].to_numpy(), quarantined)), schema),
    )


def of_files(files: MonthFiles, trips: int, quarantined: int) -> Sample:
    """Draw from a month's Parquet files on this machine."""
    good = _read(files.trips_path, files.version, trips + quarantined)
    good = good.take(_drawn(good["source_row"].to_numpy(), trips))
    bad = _read(files.quarantine_path, files.version, quarantined)
    return Sample(good, _as_trips(bad, good.schema))


def _priority(source_rows: np.ndarray) -> np.ndarray:
    """A hash of each row number (splitmix64); the rows with the lowest ones are drawn."""
    bits = source_rows.astype(np.uint64) + np.uint64(_SEED)
    bits *= np.uint64(0x9E3779B97F4A7C15)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(bits ^ (bits >> np.uint64(31)))


def _limit(count: int, total: int) -> np.uint64:
    """A priority below which `count` of `total` rows lie almost surely, and hardly more."""
    share = (count + 8 * count**0.5 + 8) / max(total, 1)
    return np.uint64(min(share, 1.0) * (2**64 - 2**12))


def _drawn(source_rows: np.ndarray, count: int) -> np.ndarray:
    """The places of the rows with the lowest priorities, ascending."""
    if len(source_rows) <= count:
        return np.arange(len(source_rows))
    return np.sort(np.argpartition(_priority(source_rows), count)[:count])


@functools.lru_cache(maxsize=4)
def _read(path: Path, _version: str, count: int) -> pa.Table:
    """Draw from a file of a version, which never changes: the blocks of a run draw the same rows."""
    places = _drawn(pq.read_table(path, columns=["source_row"])["source_row"].to_numpy(), count)
    first, drawn = 0, []
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            last = first + file.metadata.row_group(group).num_rows
            here = places[(places >= first) & (places < last)] - first
            if len(here):
                drawn.append(file.read_row_group(group).take(here))
            first = last
        schema = file.schema_arrow.remove_metadata()
    return pa.concat_tables(drawn).cast(schema) if drawn else schema.empty_table()


def _as_trips(quarantined: pa.Table, schema: pa.Schema) -> pa.Table:
    """Quarantined rows in the columns of trips, with their reasons: `raw` holds their values as JSON."""
    reasons = quarantined["reasons"].to_pylist()
    values = [
        {} if UNREADABLE in names else json.loads(raw)
        for names, raw in zip(reasons, quarantined["raw"].to_pylist(), strict=True)
    ]
    columns = []
    for field in schema:
        if field.name in ("source_version", "source_row"):
            columns.append(quarantined[field.name])
        else:
            columns.append(_column([row.get(field.name) for row in values], field.type))
    whole = pa.table(columns, schema=pa.schema(list(schema)))
    return whole.append_column("reasons", quarantined["reasons"])


def _column(values: list[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_temporal(kind) or pa.types.is_floating(kind):  # both may be texts: NaN is one
        return pa.array([None if value is None else str(value) for value in values], pa.string()).cast(kind)
    return pa.array(values, kind)
