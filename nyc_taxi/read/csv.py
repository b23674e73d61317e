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
import zlib
from collections import Counter
from collections.abc import Iterator
from typing import BinaryIO, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from nyc_taxi.errors import NotTripData
from nyc_taxi.read import Chunk, Unreadable
from nyc_taxi.read.convert import NULL_TEXTS, Converted, clean_text, convert, decode
from nyc_taxi.reference import SourceFile
from nyc_taxi.schema import ARROW_TYPES, Column, arrow_schema, map_header, service_columns

BLOCK_BYTES = 8 << 20
"""Of text a block: large enough to parse at full speed, small enough that a few fit anywhere."""

_PROBE_LINES = 200


class CsvReader:
    """A CSV or gzipped CSV file."""

    def __init__(self, source: SourceFile, block_bytes: int = BLOCK_BYTES) -> None:
        self._source = source
        self._file = source.path.name
        self._block_bytes = block_bytes
        with _open(source) as stream:
            head = self._guarded_read(stream, 1 << 20)
        lines = [line.rstrip(b"\r") for line in head.split(b"\n")]
        header = self._header(lines[0])
        self.mapping = map_header(source.service, header, self._file)
        self._columns = [c for c in service_columns(source.service) if c.name in self.mapping.columns]
        unknown = [pa.field(name, pa.string()) for name in self.mapping.unknown]
        self.schema = arrow_schema(service_columns(source.service), unknown)
        self._names = [f"f{index}" for index in range(len(header))]
        self._header_width = len(header)
        self._width = max(self._usual_width(lines[1:]), len(header))
        self._own = {own: self._names[index] for index, own in enumerate(header)}
        self._all_names = self._names + [f"f{index}" for index in range(len(header), self._width)]

    def blocks(self) -> Iterator[bytes]:
        """Blocks of whole lines, without the header."""
        with _open(self._source) as stream:
            rest = b""
            header_seen = False
            while data := self._guarded_read(stream, self._block_bytes):
                end = data.rfind(b"\n") + 1
                if not end:
                    rest += data
                    continue
                block = rest + data[:end]
                rest = data[end:]
                if not header_seen:
                    block = block[block.index(b"\n") + 1 :]
                    header_seen = True
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
        converted = {column.name: self._fast(table, column) for column in self._columns}
        if any(bad is not None for _, bad in converted.values()):
            return self._parse_text(block)
        return Chunk(self._batch(table, converted), np.arange(len(table)), len(table))

    # -- the header ---------------------------------------------------------------------------

    def _header(self, line: bytes) -> list[str]:
        try:
            names = next(csv.reader([line.decode("utf-8-sig")]), [])
        except UnicodeDecodeError:
            raise NotTripData(f"{self._file}: the first line is not text; this is no CSV file.") from None
        if len(names) < 2:
            raise NotTripData(
                f"{self._file}: the first line {line[:60].decode(errors='replace')!r} is no header of a trip file."
            )
        return names

    def _usual_width(self, lines: list[bytes]) -> int:
        widths = Counter(_fields(line) for line in lines[:_PROBE_LINES][:-1] if line)
        return widths.most_common(1)[0][0] if widths else 0

    # -- the fast path ------------------------------------------------------------------------

    @property
    def _fast_types(self) -> dict[str, pa.DataType]:
        types: dict[str, pa.DataType] = {self._own[own]: pa.string() for own in self.mapping.unknown.values()}
        for column in self._columns:
            for own in self.mapping.columns[column.name]:
                coded = pa.dictionary(pa.int32(), pa.string())
                types[self._own[own]] = coded if column.codes else ARROW_TYPES[column.type]
        types.update({name: pa.null() for name in self._all_names[self._header_width :]})
        return types

    def _read(self, block: bytes, types: dict[str, pa.DataType]) -> pa.Table:
        return pacsv.read_csv(
            pa.BufferReader(block),
            read_options=pacsv.ReadOptions(column_names=self._all_names, use_threads=False, block_size=len(block) + 1),
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
            values = _one(table[self._own[own]])
            if column.codes:
                values, bad = decode(values, column)
                if bad is not None:
                    return values, bad
            elif column.type == "string":
                values = clean_text(values)
            parts.append(values)
        return (parts[0] if len(parts) == 1 else pc.coalesce(*parts)), None

    # -- the path that explains ---------------------------------------------------------------

    def _parse_text(self, block: bytes) -> Chunk:
        lines = [line.rstrip(b"\r") for line in block.split(b"\n")]
        lines = [line for line in lines if line]
        unreadable: dict[int, Unreadable] = {}
        good: list[bytes] = []
        places: list[int] = []
        for row, line in enumerate(lines):
            fitted, detail = self._fit(line)
            if detail:
                unreadable[row] = Unreadable(row, None, detail, as_text(line))
            else:
                good.append(fitted)
                places.append(row)
        names = self._all_names[: self._header_width]
        table = self._read(b"\n".join(good) + b"\n", {n: pa.string() for n in self._all_names}).select(names) if good else None
        if table is None:
            table = pa.table({name: pa.array([], pa.string()) for name in names})
        converted: dict[str, Converted] = {}
        bad_rows = np.zeros(len(table), bool)
        for column in self._columns:
            values, bad = self._from_text(table, column)
            converted[column.name] = (values, None)
            if bad is None:
                continue
            for index in np.flatnonzero(bad & ~bad_rows):
                row = places[index]
                own = self.mapping.columns[column.name][0].strip()
                text = table[self._own[self.mapping.columns[column.name][0]]][int(index)].as_py()
                detail = f"{own} is {text!r}, which is no {_KIND[column.type]}"
                unreadable[row] = Unreadable(row, column.name, detail, as_text(lines[row]))
            bad_rows |= bad
        keep = ~bad_rows
        batch = self._batch(table, converted).filter(pa.array(keep))
        found = [unreadable[row] for row in sorted(unreadable)]
        return Chunk(batch, np.asarray(places, np.int64)[keep], len(lines), found)

    def _from_text(self, table: pa.Table, column: Column) -> Converted:
        parts = []
        mask: np.ndarray | None = None
        for own in self.mapping.columns[column.name]:
            values, bad = convert(_one(table[self._own[own]]), column, self._file)
            mask = bad if mask is None else mask if bad is None else mask | bad
            parts.append(values)
        return (parts[0] if len(parts) == 1 else pc.coalesce(*parts)), mask

    def _fit(self, line: bytes) -> tuple[bytes, str]:
        """The line with exactly the usual number of fields, or what is wrong with it."""
        try:
            line.decode()
        except UnicodeDecodeError:
            return b"", "the line is not UTF-8 text"
        if b"\0" in line:
            return b"", "the line holds a NUL byte"
        if line.count(b'"') % 2:
            return b"", "a quote is opened and never closed"
        width = _fields(line)
        if width < self._header_width:
            return b"", f"the row has {width} fields, the header {self._header_width}"
        if width > self._header_width:
            values = next(csv.reader([line.decode()]))
            if any(value.strip() for value in values[self._header_width :]):
                return b"", f"the row has {width} fields with values, the header {self._header_width}"
            while width > self._width:
                line, width = line[: line.rindex(b",")], width - 1
        return line + b"," * (self._width - width), ""

    # -- both ---------------------------------------------------------------------------------

    def _batch(self, table: pa.Table, converted: dict[str, Converted]) -> pa.RecordBatch:
        arrays = []
        for item in self.schema:
            if item.name in converted:
                arrays.append(converted[item.name][0])
            elif item.name in self.mapping.unknown:
                arrays.append(_one(table[self._own[self.mapping.unknown[item.name]]]))
            else:
                arrays.append(pa.nulls(len(table), item.type))
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def _guarded_read(self, stream: BinaryIO, size: int) -> bytes:
        try:
            return stream.read(size)
        except (EOFError, zlib.error, OSError) as error:
            raise NotTripData(
                f"{self._file}: the gzip data is broken or cut off ({error}); fetch the file again."
            ) from None


_KIND = {"int16": "whole number in range", "int32": "whole number in range", "int64": "whole number", "float64": "number", "timestamp": "time"}


def _open(source: SourceFile) -> BinaryIO:
    with source.path.open("rb") as stream:
        gzipped = stream.read(2) == b"\x1f\x8b"
    if not gzipped:
        return source.path.open("rb")
    from isal import igzip_threaded

    return cast(BinaryIO, igzip_threaded.open(source.path, "rb", threads=1))


def _fields(line: bytes) -> int:
    if b'"' not in line:
        return line.count(b",") + 1
    return len(next(csv.reader([line.decode(errors="replace")]), []))


def _one(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks else pa.array([], column.type)


def as_text(line: bytes) -> str:
    """A line as text that any database takes: no NUL, no bytes that are not UTF-8."""
    return line.decode("utf-8", "backslashreplace").replace("\0", "\\x00")
