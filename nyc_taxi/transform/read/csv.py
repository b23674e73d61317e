"""CSV and CSV.gz of every era.

The file is cut into blocks of whole lines. A block is parsed by Arrow straight into the canonical
types (the fast path). Only when that fails is the same block parsed as text and converted column
by column, which finds the rows at fault and gives every other row the value that the fast path
would have given.

What the files do, and is met here: a header of 17 names over rows of 19 fields (the last two
empty), blank lines, LF and CRLF mixed, quoted and padded names, words in place of codes.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
from isal.isal_zlib import IsalError

from nyc_taxi.errors import NotTripData
from nyc_taxi.model.references import SourceFile
from nyc_taxi.schema import Column, map_header, normalise, service_columns
from nyc_taxi.schema.arrow import ARROW_TYPES, arrow_schema
from nyc_taxi.transform.read import Chunk, Unreadable
from nyc_taxi.transform.read.convert import (
    NULL_TEXTS,
    Converted,
    clean_text,
    convert,
    decode,
    finite,
    first_that_holds,
)
from nyc_taxi.transform.read.limits import check_columns, check_line_count, check_lines
from nyc_taxi.transform.read.lines import as_text, fit, open_csv, split_line, whole_lines

BLOCK_BYTES = 4 << 20
"""Of text a block: large enough to parse at full speed, small enough that a few fit anywhere."""

_HEAD_BYTES = 1 << 16
_PROBE_LINES = 200


class CsvReader:
    """A CSV or gzipped CSV file."""

    def __init__(self, source: SourceFile, block_bytes: int = BLOCK_BYTES) -> None:
        self._source = source
        self._file = source.name
        self._block_bytes = block_bytes
        with open_csv(source.path) as stream:
            first, *lines = self._read_from(stream, _HEAD_BYTES).split(b"\n")[: _PROBE_LINES + 2]
        header = self._header(first.rstrip(b"\r"))
        check_columns(len(header), self._file)
        service = source.service
        self.mapping = map_header(service, header, self._file)
        self._columns = [c for c in service_columns(service) if c.name in self.mapping.columns]
        self.schema = arrow_schema(
            service_columns(service), [pa.field(name, pa.string()) for name in self.mapping.unknown]
        )
        # fields are called f0, f1, ... while they are parsed: names in a header need not be distinct
        rows = (split_line(as_text(line)) for line in whole_lines(b"\n".join(lines[:-1])))
        widths = Counter(len(row) for row in rows if row)
        self._width = max([len(header), *(width for width, _ in widths.most_common(1))])
        check_columns(self._width, self._file)
        self._fields = [f"f{index}" for index in range(self._width)]
        self._header_fields = self._fields[: len(header)]
        self._field_of = dict(zip(header, self._fields, strict=False))
        self._fast_types = self._types()

    def blocks(self) -> Iterator[bytes]:
        """Blocks of whole lines, without the header."""
        with open_csv(self._source.path) as stream:
            rest, header_seen = b"", False
            # a file that does not parse at all is known by its first, small block
            size = min(_HEAD_BYTES, self._block_bytes)
            while data := self._read_from(stream, size):
                check_lines(data, self._file)
                size = self._block_bytes
                end = data.rfind(b"\n") + 1
                block, rest = (rest + data[:end], data[end:]) if end else (b"", rest + data)
                if block and not header_seen:
                    block, header_seen = block[block.index(b"\n") + 1 :], True
                if block:
                    yield block
            if rest and header_seen:
                yield rest

    def parse(self, block: bytes) -> Chunk:
        """Parse whole lines."""
        try:
            table = self._read(block, self._fast_types)
        except (pa.ArrowInvalid, UnicodeDecodeError):
            return self._parse_text(block)
        check_line_count(len(table), self._file)
        # a NUL is no text for a database; to Arrow a carriage return alone ends a line, to us it does
        # not; a stray quote swallows the line after it
        if (
            b"\0" in block
            or _has_lone_return(block)
            or (b'"' in block and len(table) != len(whole_lines(block)))
        ):
            return self._parse_text(block)
        converted = {column.name: self._fast(table, column) for column in self._columns}
        if any(bad is not None for _, bad in converted.values()):
            return self._parse_text(block)
        return Chunk(self._batch(table, converted), np.arange(len(table)), len(table))

    def _header(self, line: bytes) -> list[str]:
        try:
            names = next(csv.reader([line.decode("utf-8-sig")]), [])
        except (UnicodeDecodeError, csv.Error):
            raise NotTripData(f"{self._file}: the first line is not text; this is not a CSV file.") from None
        if len(names) < 2:
            start = line[:60].decode(errors="replace")
            raise NotTripData(f"{self._file}: the first line {start!r} is not the header of a trip file.")
        return [name if normalise(name) else f"unnamed_{place}" for place, name in enumerate(names, 1)]

    def _read_from(self, stream: BinaryIO, size: int) -> bytes:
        try:
            return stream.read(size)
        except (EOFError, IsalError, OSError) as error:  # type: ignore[misc]  # the stub declares an instance
            raise NotTripData(
                f"{self._file}: the gzip data is damaged or truncated ({error}); download the file again."
            ) from None

    def _types(self) -> dict[str, pa.DataType]:
        """What the fast path parses each field as: fields behind the header's must be empty."""
        types: dict[str, pa.DataType] = dict.fromkeys(self._fields[len(self._header_fields) :], pa.null())
        types |= {self._field_of[own]: pa.string() for own in self.mapping.unknown.values()}
        coded = pa.dictionary(pa.int32(), pa.string())
        for column in self._columns:
            kind = coded if column.codes else ARROW_TYPES[column.type]
            types |= {self._field_of[own]: kind for own in self.mapping.columns[column.name]}
        return types

    def _read(self, block: bytes, types: dict[str, pa.DataType]) -> pa.Table:
        return pacsv.read_csv(
            pa.BufferReader(block),
            read_options=pacsv.ReadOptions(
                column_names=self._fields, use_threads=False, block_size=len(block) + 1
            ),
            convert_options=pacsv.ConvertOptions(
                column_types=types,
                include_columns=list(types),
                null_values=NULL_TEXTS,
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
            ),
        ).combine_chunks()

    def _fast(self, table: pa.Table, column: Column) -> Converted:
        """A column of the fast path: its type is right already, codes and padding are not."""
        parts = []
        for own in self.mapping.columns[column.name]:
            values, bad = _one(table[self._field_of[own]]), None
            if column.codes:
                values, bad = decode(values, column)
            elif column.type == "string":
                values = clean_text(values)
            elif column.type == "float64":
                values, bad = finite(values)
            parts.append((values, bad))
        return first_that_holds(parts)

    def _parse_text(self, block: bytes) -> Chunk:
        """The path that explains: parse as text, convert column by column, say what is wrong where."""
        lines = whole_lines(block)
        check_line_count(len(lines), self._file)
        unreadable: dict[int, Unreadable] = {}
        fitting, places = [], []
        for row, line in enumerate(lines):
            fitted, detail = fit(line, len(self._header_fields), self._width)
            if detail:
                unreadable[row] = Unreadable(row, None, detail, as_text(line))
            else:
                fitting.append(fitted)
                places.append(row)
        text = pa.table({name: pa.array([], pa.string()) for name in self._fields})
        if fitting:
            text = self._read(b"\n".join(fitting) + b"\n", dict.fromkeys(self._fields, pa.string()))
        converted: dict[str, Converted] = {}
        bad_rows = np.zeros(len(text), bool)
        for column in self._columns:
            own = [self._field_of[name] for name in self.mapping.columns[column.name]]
            values, bad = first_that_holds([convert(_one(text[name]), column, self._file) for name in own])
            converted[column.name] = (values, None)
            if bad is None:
                continue
            for index in np.flatnonzero(bad & ~bad_rows).tolist():
                value = next(filter(None, (text[name][index].as_py() for name in own)), "")
                detail = (
                    f"{self.mapping.columns[column.name][0].strip()} is {value!r}, {_EXPECTED[column.type]}"
                )
                unreadable[places[index]] = Unreadable(
                    places[index], column.name, detail, as_text(lines[places[index]])
                )
            bad_rows |= bad
        batch = self._batch(text, converted).filter(pa.array(~bad_rows))
        rows = np.asarray(places, np.int64)[~bad_rows]
        return Chunk(batch, rows, len(lines), [unreadable[row] for row in sorted(unreadable)])

    def _batch(self, table: pa.Table, converted: dict[str, Converted]) -> pa.RecordBatch:
        arrays = []
        for item in self.schema:
            if item.name in converted:
                arrays.append(converted[item.name][0])
            elif item.name in self.mapping.unknown:
                arrays.append(_one(table[self._field_of[self.mapping.unknown[item.name]]]))
            else:
                arrays.append(pa.nulls(len(table), item.type))
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)


_EXPECTED = {
    **dict.fromkeys(("int16", "int32", "int64"), "which is no whole number in the column's range"),
    "float64": "which is no number",
    "timestamp": "which is no time",
}


def _has_lone_return(block: bytes) -> bool:
    """Whether a carriage return stands without a line feed after it; seven times as fast as counting."""
    if b"\r" not in block:
        return False
    data = np.frombuffer(block, np.uint8)
    after = np.flatnonzero(data == 13) + 1
    return bool(after[-1] == len(data) or (data[after] != 10).any())


def _one(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks else pa.array([], column.type)
