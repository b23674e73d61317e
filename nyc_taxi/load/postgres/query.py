"""A user's query as a stream of Arrow batches, which may read and nothing else."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, count
from typing import Any

import pyarrow as pa
from sqlalchemy import text

from nyc_taxi.load.postgres.client import execute, transaction, wait_for_client
from nyc_taxi.load.postgres.config import PostgresConfig

BATCH_ROWS = 20_000
"""Rows that are in memory at once."""

_CURSOR = "taxi_query"

_ARROW_TYPES = {
    16: pa.bool_(),
    20: pa.int64(),
    21: pa.int16(),
    23: pa.int32(),
    700: pa.float32(),
    701: pa.float64(),
    1009: pa.list_(pa.string()),
    1082: pa.date32(),
    1114: pa.timestamp("us"),
    1184: pa.timestamp("us", "UTC"),
    1700: pa.float64(),  # numeric, as of avg() and of sums of bigint
}
"""By object id of the type (pg_type.dat of PostgreSQL); all others become text."""


@contextlib.contextmanager
def stream(
    config: PostgresConfig, sql: str, timeout: float
) -> Iterator[tuple[pa.Schema, Iterator[pa.RecordBatch]]]:
    """The columns of one query and its rows, fetched as they are read.

    `timeout`: seconds that the server may take for the first rows, and for each batch. Raises
    DestinationError for a query that fails, and DestinationUnreachable.
    """
    with transaction(config.reachable()) as connection:
        execute(connection, "SET TRANSACTION READ ONLY")
        execute(connection, f"SET LOCAL statement_timeout TO {round(timeout * 1000)}")
        execute(connection, "SET LOCAL cursor_tuple_fraction TO 1")  # all rows will be fetched
        wait_for_client(connection, "0")  # whoever reads the rows may take time
        # unlike DECLARE, this runs one statement only: nothing can end the read-only transaction
        connection.execute(text("SELECT set_config('nyc_taxi.query', :sql, true)"), {"sql": sql})
        execute(
            connection,
            f"DO $$ DECLARE query refcursor := '{_CURSOR}';"
            " BEGIN OPEN query FOR EXECUTE current_setting('nyc_taxi.query'); END $$",
        )
        cursor = connection.connection.cursor(_CURSOR)
        rows = cursor.fetchmany(BATCH_ROWS)
        schema = _schema(cursor.description or ())

        def batches() -> Iterator[pa.RecordBatch]:
            batch: Sequence[Any] = rows
            while batch:
                yield _to_batch(batch, schema)
                batch = cursor.fetchmany(BATCH_ROWS)

        yield schema, batches()


def _schema(description: Iterable[Sequence[Any]]) -> pa.Schema:
    """The columns of a result; of two with one name the second is `name_1`, as in DuckDB."""
    fields: dict[str, pa.Field] = {}
    for name, kind, *_ in description:
        unique = next(each for each in chain([name], (f"{name}_{n}" for n in count(1))) if each not in fields)
        fields[unique] = pa.field(unique, _ARROW_TYPES.get(kind, pa.string()))
    return pa.schema(fields.values())


def _to_batch(rows: Sequence[Any], schema: pa.Schema) -> pa.RecordBatch:
    columns = zip(*rows, strict=True)
    arrays = [_to_array(list(values), field.type) for values, field in zip(columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _to_array(values: list[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_string(kind):
        values = [value if value is None or isinstance(value, str) else str(value) for value in values]
    elif kind == pa.float64():
        values = [None if value is None else float(value) for value in values]  # of numeric: Decimal
    return pa.array(values, kind)
