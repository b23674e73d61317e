"""The canonical columns in Arrow; apart from the columns, as Arrow takes a tenth of a second to import."""

from __future__ import annotations

import pyarrow as pa

from nyc_taxi.schema import Column

ARROW_TYPES: dict[str, pa.DataType] = {
    "int16": pa.int16(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "float64": pa.float64(),
    "string": pa.string(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),  # microseconds: what Postgres, BigQuery and DuckDB all hold
    "bool": pa.bool_(),
    "strings": pa.list_(pa.string()),
}


def arrow_field(column: Column) -> pa.Field:
    """Return a column as a nullable Arrow field."""
    return pa.field(column.name, ARROW_TYPES[column.type])


def arrow_schema(columns: tuple[Column, ...], extra: list[pa.Field] | None = None) -> pa.Schema:
    """Return the Arrow schema of the columns, followed by a file's unknown columns."""
    return pa.schema([*map(arrow_field, columns), *(extra or [])])
