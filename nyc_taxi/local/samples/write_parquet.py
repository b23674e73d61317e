"""Write rows as Parquet in the layout of their era."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nyc_taxi.local.samples.eras import Era, FileColumn
from nyc_taxi.local.samples.plan import Array
from nyc_taxi.local.samples.rows import Rows
from nyc_taxi.local.samples.write_csv import text

TYPES = {
    "null": pa.null(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "double": pa.float64(),
    "string": pa.string(),
    "large_string": pa.large_string(),
    "timestamp[us]": pa.timestamp("us"),
}


def write_parquet(file: BinaryIO, era: Era, parts: Iterator[tuple[Rows, Array]]) -> None:
    """Write the rows, each part as a row group."""
    schema = pa.schema([(column.name, TYPES[column.type]) for column in era.columns])
    with pq.ParquetWriter(file, schema, compression=era.codec, version=era.version) as writer:
        for rows, _ in parts:
            writer.write_table(pa.table([_array(column, rows, era) for column in era.columns], schema))


def _array(column: FileColumn, rows: Rows, era: Era) -> pa.Array:
    name, kind = column.canonical.name, column.canonical.type
    target = TYPES[column.type]
    if column.empty or column.type == "null":
        return pa.nulls(len(rows), target)
    if kind == "timestamp" and target == TYPES["timestamp[us]"]:
        values = pa.array(rows.values[name], pa.timestamp("s"))
    elif kind == "float64" and column.canonical.unit != "degrees":
        values = pa.array(rows.values[name] / 100)
    elif name in era.words or pa.types.is_string(target) or pa.types.is_large_string(target):
        values = text(column, rows, era)
    else:
        values = pa.array(rows.values[name])
    if name in rows.null:
        values = pc.if_else(rows.null[name], None, values)
    return values.cast(target)
