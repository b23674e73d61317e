"""TLC's Parquet of every era: columns by name, types as they come, one batch at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from nyc_taxi.errors import NotTripData, SchemaError, first_line
from nyc_taxi.model.references import SourceFile
from nyc_taxi.schema import Column, Mapping, map_header, service_columns
from nyc_taxi.schema.arrow import arrow_schema
from nyc_taxi.transform.read import Chunk, Unreadable, as_json
from nyc_taxi.transform.read.convert import Converted, convert, first_that_holds, wall_time
from nyc_taxi.transform.read.limits import (
    batch_rows,
    check_columns,
    check_pages,
    check_rows,
    split_text,
)

BATCH_ROWS = 65_536
_READ_BUFFER = 1 << 20


class ParquetReader:
    """A Parquet file."""

    def __init__(self, source: SourceFile, most_rows: int = BATCH_ROWS) -> None:
        self._source = source
        self._file = source.name
        with self._opened() as file:
            own, leaves = file.schema_arrow, file.metadata.schema
            check_columns(len(leaves), self._file)
            check_rows(source.path, file.metadata.num_rows, self._file)
            self._batch_rows = batch_rows(file.metadata, most_rows, self._file)
            # text stays in its dictionary until it is known how much it is; other text is not made to have
            # one, which takes several times its memory
            self._texts = check_pages(source.path, file.metadata, self._file)
        mapping = map_header(source.service, own.names, self._file)
        # a column of null type holds nothing: there is nothing to keep, and no type to keep it under
        unknown = {n: o for n, o in mapping.unknown.items() if not pa.types.is_null(own.field(o).type)}
        self.mapping = Mapping(mapping.columns, unknown, mapping.absent)
        self._columns = [c for c in service_columns(source.service) if c.name in mapping.columns]
        self._unknown_types = {name: _kept_type(own.field(o).type) for name, o in unknown.items()}
        extra = [pa.field(name, kind) for name, kind in self._unknown_types.items()]
        self.schema = arrow_schema(service_columns(source.service), extra)

    def blocks(self) -> Iterator[pa.RecordBatch]:
        """Record batches with the file's own columns."""
        with self._opened(self._texts) as file:
            try:
                for batch in file.iter_batches(self._batch_rows):
                    yield from split_text(batch, self._file)
            except (pa.ArrowInvalid, OSError) as error:
                raise NotTripData(
                    f"{self._file}: the Parquet data is damaged ({first_line(error)}); download it again."
                ) from None

    def parse(self, block: pa.RecordBatch) -> Chunk:
        """Convert one batch."""
        converted: dict[str, pa.Array] = {}
        bad_rows = np.zeros(len(block), bool)
        unreadable: dict[int, Unreadable] = {}
        for column in self._columns:
            own = self.mapping.columns[column.name]
            values, bad = self._convert(block, column)
            converted[column.name] = values
            if bad is None:
                continue
            for row in np.flatnonzero(bad & ~bad_rows).tolist():
                detail = f"{own[0]} is {_plain(block[own[0]][row])!r}, which does not fit {column.type}"
                unreadable[row] = Unreadable(row, column.name, detail, as_json(_row(block, row)))
            bad_rows |= bad
        for name, own_name in self.mapping.unknown.items():
            converted[name], bad = self._keep(block[own_name], name, own_name)
            if bad is not None:
                for row in np.flatnonzero(bad & ~bad_rows).tolist():
                    detail = f"{own_name} is {_plain(block[own_name][row])!r}, which does not fit a timestamp"
                    unreadable[row] = Unreadable(row, name, detail, as_json(_row(block, row)))
                bad_rows |= bad
        arrays = [
            converted[item.name] if item.name in converted else pa.nulls(len(block), item.type)
            for item in self.schema
        ]
        batch = pa.RecordBatch.from_arrays(arrays, schema=self.schema)
        rows = np.arange(len(block))
        if unreadable:
            batch, rows = batch.filter(pa.array(~bad_rows)), rows[~bad_rows]
        return Chunk(batch, rows, len(block), [unreadable[row] for row in sorted(unreadable)])

    def _convert(self, block: pa.RecordBatch, column: Column) -> Converted:
        own = self.mapping.columns[column.name]
        try:
            return first_that_holds([convert(block[name], column, self._file) for name in own])
        except pa.ArrowInvalid:
            raise NotTripData(
                f"{self._file}: column {own[0]} holds text that is not UTF-8; download the file again."
            ) from None
        except pa.ArrowNotImplementedError:
            kind = block[own[0]].type
            raise SchemaError(
                f"{self._file}: column {own[0]} has type {kind}, which cannot become {column.type}."
            ) from None

    def _keep(self, array: pa.Array, name: str, own: str) -> Converted:
        try:
            return _kept(array, self._unknown_types[name])
        # a time zone that does not exist, times in a list that Python does not have, types without a cast
        except (ValueError, KeyError, OverflowError, NotImplementedError) as error:
            raise SchemaError(
                f"{self._file}: column {own} of type {array.type} cannot be read ({first_line(error)});"
                " remove it."
            ) from None

    def _opened(self, texts: Sequence[str] = ()) -> pq.ParquetFile:
        try:
            return pq.ParquetFile(
                self._source.path, buffer_size=_READ_BUFFER, pre_buffer=False, read_dictionary=texts
            )
        except (pa.ArrowInvalid, OSError) as error:
            raise NotTripData(
                f"{self._file}: is not a complete Parquet file ({first_line(error)}); download it again."
            ) from None


def _kept_type(kind: pa.DataType) -> pa.DataType:
    """The type under which an unknown column is kept: wide, so that later months fit too."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_integer(kind) and kind != pa.uint64():
        return pa.int64()
    if pa.types.is_floating(kind):
        return pa.float64()
    return pa.timestamp("us") if pa.types.is_timestamp(kind) else pa.string()


def _kept(array: pa.Array, kind: pa.DataType) -> Converted:
    """An unknown column's values; lists, structs and bytes as JSON."""
    if pa.types.is_timestamp(kind):
        return wall_time(array)
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    own = array.type
    if pa.types.is_nested(own) or pa.types.is_binary(own) or pa.types.is_fixed_size_binary(own):
        values = array.to_pylist()
        texts = [None if item is None else json.dumps(item, default=str) for item in values]
        return pa.array(texts, kind), None
    return array.cast(kind), None


def _row(block: pa.RecordBatch, row: int) -> dict[str, Any]:
    return {name: _plain(block[name][row]) for name in block.schema.names}


def _plain(value: pa.Scalar) -> Any:
    """A Python value; of times that Python does not have the number that is stored, or None in a list."""
    try:
        return value.as_py()
    except (OverflowError, ValueError, KeyError):  # KeyError: the time zone does not exist
        return getattr(value, "value", None)
