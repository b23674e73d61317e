"""A user's query as a stream of Arrow batches, which may read and nothing else."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import chain, count
from typing import Any

import pyarrow as pa
import sqlalchemy
from sqlalchemy import text

from nyc_taxi.errors import QueryTimeout, TaxiError, one_line
from nyc_taxi.load.postgres.client import execute, transaction, wait_for_client
from nyc_taxi.load.postgres.config import PostgresConfig
from nyc_taxi.load.postgres.errors import QUERY_CANCELED, sqlstate

FIRST_ROWS, MOST_ROWS = 100, 20_000
BATCH_BYTES = 8_000_000
"""Of Arrow's memory, which a batch is to take: the rows of the one before say how many rows that is."""

UNSCALED = {b"numeric": b""}
"""Metadata of a column of text whose type is numeric without a scale, as of avg() and of sums of bigint."""

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
}
"""By object id of the type (pg_type.dat of PostgreSQL); all others but numeric are the server's text."""

_NUMERIC = 1700


@contextlib.contextmanager
def stream(
    config: PostgresConfig, sql: str, timeout: float
) -> Iterator[tuple[pa.Schema, Iterator[pa.RecordBatch]]]:
    """The columns of one query and its rows, fetched as they are read.

    `timeout`: seconds for the query and for fetching all rows. Raises QueryTimeout, DestinationError
    for a query that fails, DestinationUnreachable, and TaxiError for a value that Arrow does not hold.
    """
    with transaction(config.reachable()) as connection:
        deadline = _Deadline(timeout)
        execute(connection, "SET TRANSACTION READ ONLY")
        execute(connection, "SET LOCAL cursor_tuple_fraction TO 1")  # all rows will be fetched
        wait_for_client(connection, "0")  # whoever reads the rows may take time
        # unlike DECLARE, this runs one statement only: nothing can end the read-only transaction
        connection.execute(text("SELECT set_config('nyc_taxi.query', :sql, true)"), {"sql": sql})
        with (
            contextlib.closing(connection.connection.cursor()) as cursor,
            deadline.kept(cursor),
            _signals_handled(),
        ):
            cursor.execute(
                f"DO $$ DECLARE query refcursor := '{_CURSOR}';"
                " BEGIN OPEN query FOR EXECUTE current_setting('nyc_taxi.query'); END $$"
            )
            cursor.execute(f"FETCH 0 FROM {_CURSOR}")
            schema = _schema(cursor.description or ())
            _keep_text(cursor)
            yield schema, _batches(cursor, schema, deadline)


@contextlib.contextmanager
def _signals_handled() -> Iterator[None]:
    """Wait for the server in Python: inside libpq, Ctrl-C would wait for the end of the statement."""
    from psycopg2.extensions import set_wait_callback
    from psycopg2.extras import wait_select

    set_wait_callback(wait_select)
    try:
        yield
    finally:
        set_wait_callback(None)


class _Deadline:
    """When a query has to be done, however many statements fetch its rows."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._end = time.monotonic() + timeout

    @contextlib.contextmanager
    def kept(self, cursor: Any) -> Iterator[None]:
        """Let the server end the next statement when time is up; raises QueryTimeout then."""
        import psycopg2

        left = self._end - time.monotonic()
        if left <= 0:
            raise QueryTimeout(self._timeout)
        cursor.execute(f"SET LOCAL statement_timeout TO {max(1, round(left * 1000))}")
        try:
            yield
        except (sqlalchemy.exc.DBAPIError, psycopg2.Error) as error:
            if sqlstate(error) == QUERY_CANCELED and time.monotonic() > self._end - 0.1:
                raise QueryTimeout(self._timeout) from None
            raise


def _batches(cursor: Any, schema: pa.Schema, deadline: _Deadline) -> Iterator[pa.RecordBatch]:
    number = FIRST_ROWS
    while True:
        with deadline.kept(cursor):
            try:
                cursor.execute(f"FETCH {number} FROM {_CURSOR}")
                rows = cursor.fetchall()
                if not rows:
                    return
                batch = _to_batch(rows, schema)
            except (ValueError, TypeError, ArithmeticError) as error:  # as of the year 20000
                raise TaxiError(
                    f"the result has a value that cannot be read here ({one_line(error)}): cast it to text."
                ) from None
        rows.clear()
        yield batch
        number = max(1, min(MOST_ROWS, BATCH_BYTES * len(batch) // max(batch.nbytes, 1)))


def _schema(description: Iterable[Sequence[Any]]) -> pa.Schema:
    """The columns of a result; of two with one name the second is `name_1`, as in DuckDB."""
    fields: dict[str, pa.Field] = {}
    for name, kind, _, _, precision, scale, *_ in description:
        unique = next(each for each in chain([name], (f"{name}_{n}" for n in count(1))) if each not in fields)
        if kind != _NUMERIC:
            fields[unique] = pa.field(unique, _ARROW_TYPES.get(kind, pa.string()))
        elif precision is not None and 0 <= (scale or 0) <= precision <= 38:
            fields[unique] = pa.field(unique, pa.decimal128(precision, scale or 0))
        else:
            fields[unique] = pa.field(unique, pa.string(), metadata=UNSCALED)
    if not fields:
        raise TaxiError("the query has no columns: name at least one.")
    return pa.schema(fields.values())


def _keep_text(cursor: Any) -> None:
    """Let this cursor return the server's text for the types that Arrow has no equal of."""
    from psycopg2.extensions import UNICODE, new_type, register_type

    known = {*_ARROW_TYPES, *UNICODE.values}
    kinds = tuple({kind for _, kind, *_ in cursor.description or ()} - known)
    if kinds:
        register_type(new_type(kinds, "text_as_sent", lambda value, _: value), cursor)


def _to_batch(rows: Sequence[Any], schema: pa.Schema) -> pa.RecordBatch:
    columns = zip(*rows, strict=True)
    arrays = [_to_array(list(values), field.type) for values, field in zip(columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _to_array(values: list[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_decimal(kind):
        values = [None if value is None else Decimal(value) for value in values]
    return pa.array(values, kind)
