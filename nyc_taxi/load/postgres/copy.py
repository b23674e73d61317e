"""Arrow record batches into a table by COPY, in bounded memory.

With pgpq the batches become Postgres' binary format: 1,000,000 trips of 30 columns take as long as
the server itself takes to COPY them from a binary file on its own disk. Where pgpq has no wheel
(Linux on ARM) they go through CSV, which takes about twice as long.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import chain

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from sqlalchemy.engine import Connection

from nyc_taxi.schema.sql import quoted
from nyc_taxi.transform.refined import BATCH_ROWS

try:
    import pgpq
except ImportError:
    pgpq = None

Chunks = Iterator[bytes]


def copy_batches(
    connection: Connection,
    table: str,
    schema: pa.Schema,
    batches: Iterator[pa.RecordBatch],
    *,
    freeze: bool = False,
) -> int:
    """Add the batches, of the given schema, to the table's columns of the same names; returns the rows.

    `freeze`, for a table that this transaction created: the rows are written as seen by everybody, so
    that no later VACUUM writes them again and no snapshot is too old for them.
    """
    import psycopg2.extensions

    encode = csv_chunks if pgpq is None else binary_chunks
    pipe = _Pipe(encode(schema, _small(map(_without_nul, batches))))
    names = ", ".join(quoted(name) for name in schema.names)
    options = f"FORMAT {'csv' if pgpq is None else 'binary'}, FREEZE {freeze}"
    raw: psycopg2.extensions.connection = connection.connection.driver_connection  # type: ignore[assignment]
    with raw.cursor() as cursor:
        try:
            cursor.copy_expert(f"COPY {quoted(table)} ({names}) FROM STDIN WITH ({options})", pipe)
        except psycopg2.Error:
            if pipe.error:  # psycopg2 says only that reading failed
                raise pipe.error from None
            raise
        return cursor.rowcount


def _small(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    def slices(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        return (batch.slice(start, BATCH_ROWS) for start in range(0, len(batch), BATCH_ROWS))

    return chain.from_iterable(map(slices, batches))  # holds no batch while the next one is made


def binary_chunks(schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> Chunks:
    """Postgres' binary COPY format."""
    encoder = pgpq.ArrowToPostgresBinaryEncoder(schema)
    yield encoder.write_header()
    yield from map(encoder.write_batch, batches)
    yield encoder.finish()


def csv_chunks(schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> Chunks:
    """CSV as COPY reads it: nothing at all is null, a text is always in quotes."""
    options = pyarrow.csv.WriteOptions(include_header=False)
    for batch in batches:
        plain = [
            _array_literals(column) if pa.types.is_list(column.type) else column for column in batch.columns
        ]
        sink = pa.BufferOutputStream()
        pyarrow.csv.write_csv(pa.RecordBatch.from_arrays(plain, names=schema.names), sink, options)
        yield sink.getvalue().to_pybytes()


class _Pipe(io.BufferedIOBase):
    """What psycopg2 reads from: it takes a chunk of any size."""

    def __init__(self, chunks: Chunks) -> None:
        self._chunks = chunks
        self.error: BaseException | None = None

    def read(self, _size: int | None = -1, /) -> bytes:
        try:
            # pgpq holds small batches back; an empty chunk would end the COPY
            return next((chunk for chunk in self._chunks if chunk), b"")
        except BaseException as error:
            self.error = error
            raise


def _array_literals(lists: pa.ListArray) -> pa.StringArray:
    r"""Lists of text as Postgres writes arrays: `{"a","b \"quoted\"",NULL}`."""
    texts = lists.flatten()
    for special in ("\\", '"'):
        texts = pc.replace_substring(texts, special, "\\" + special)
    quotes = pc.binary_join_element_wise('"', texts, '"', "")
    lengths = pc.fill_null(pc.list_value_length(lists), 0)
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(lengths)])
    joined = pc.binary_join(pa.ListArray.from_arrays(offsets, pc.fill_null(quotes, "NULL")), ",")
    return pc.if_else(pc.is_valid(lists), pc.binary_join_element_wise("{", joined, "}", ""), None)


def _without_nul(batch: pa.RecordBatch) -> pa.RecordBatch:
    r"""Postgres' text holds every character but NUL; it becomes `\x00`, as in the quarantine's raw text."""
    for index, field in enumerate(batch.schema):
        if pa.types.is_string(field.type):
            data = batch.column(index).buffers()[2]
            if data is not None and b"\0" in data.to_pybytes():
                batch = batch.set_column(
                    index, field, pc.replace_substring(batch.column(index), "\0", r"\x00")
                )
    return batch
