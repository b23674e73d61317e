"""Limits that no month of trips comes near: a file beyond one is refused before it fills memory or disk.

TLC's widest files have 25 columns, rows of some 250 bytes and 25 million rows a month.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nyc_taxi.errors import NotTripData
from nyc_taxi.transform.read.pages import Content, Page, read_pages
from nyc_taxi.transform.read.texts import MAX_TEXT_BYTES, TextChunk, dictionary_columns

MAX_COLUMNS = 40
"""Columns of a file, and fields of a row of CSV."""

MAX_LINE_BYTES = 1 << 12
"""Bytes of a line of CSV."""

MAX_BLOCK_LINES = (4 << 20) // 24
"""Lines of a block of CSV (4 MB): fhv of 2015 has 28 bytes a row; each costs more memory than its text."""

MAX_ROWS = 100_000_000
"""Rows of a Parquet file, which needs no bytes for rows that repeat."""

MAX_ROW_BYTES = 512
"""Bytes of a row, decompressed, on average over a block of CSV or a row group of Parquet."""

MAX_CHUNK_BYTES = 256 << 20
"""Decompressed bytes of a column in a row group, unless its values are certainly narrow: see `_is_narrow`."""

MAX_BYTE_ROWS = 1 << 20
"""Rows of a Parquet file that has fewer bytes than rows: TLC's narrowest have several bytes a row."""

MAX_PAGES = 1 << 16
"""Pages of a Parquet file that has few rows."""

ROWS_PER_PAGE = 100
"""Rows for each page of a Parquet file: row groups of 4,000 rows may have 40 pages, two for each column."""

MAX_PAGE_BYTES = 64 << 20
"""Decompressed bytes of the largest page of every column, added up over a row group; Arrow writes 1 MB."""

BATCH_BYTES = 16 << 20
"""Decompressed bytes of a batch of Parquet; of its text, too, which may be compressed to nothing."""

_FEW_BYTES = 1 << 20
"""Bytes of a block of CSV whose lines may be of any width below MAX_LINE_BYTES."""

_ADVICE = "use the file as TLC publishes it"

_WIDTHS = {"BOOLEAN": 1, "INT32": 4, "FLOAT": 4, "INT64": 8, "DOUBLE": 8, "INT96": 8, "BYTE_ARRAY": 8}
"""Bytes of a value in memory, by physical type; of text those of its place in a dictionary."""


def check_columns(count: int, file: str) -> None:
    """Raise NotTripData for more columns than any file of trips has."""
    if count > MAX_COLUMNS:
        raise NotTripData(
            f"{file}: has {count:,} columns, and at most {MAX_COLUMNS} are loaded; {_ADVICE},"
            " or remove columns."
        )


def check_lines(block: bytes, file: str) -> None:
    """Raise NotTripData for a line that is certainly too long, wide lines, or nothing but ends of lines.

    Lines up to MAX_LINE_BYTES pass, and none of twice as many does.
    """
    starts = range(0, len(block) - MAX_LINE_BYTES + 1, MAX_LINE_BYTES)
    if any(block.find(b"\n", start, start + MAX_LINE_BYTES) < 0 for start in starts):
        raise NotTripData(f"{file}: has a line of more than {MAX_LINE_BYTES >> 10} kB; {_ADVICE}.")
    width = len(block) // (block.count(b"\n") + 1)
    if len(block) > _FEW_BYTES and width > MAX_ROW_BYTES:
        raise _wide(width, file)
    if len(block) > MAX_LINE_BYTES and block.isspace():
        raise NotTripData(f"{file}: has {len(block):,} bytes of blank lines in a row; {_ADVICE}.")


def check_line_count(lines: int, file: str) -> None:
    """Raise NotTripData for a block of more lines than rows of trips could be."""
    if lines > MAX_BLOCK_LINES:
        raise NotTripData(f"{file}: has {lines:,} lines of a few bytes each in a row; {_ADVICE}.")


def batch_rows(metadata: pq.FileMetaData, most: int, file: str) -> int:
    """Rows that are read at a time: `most`, or fewer where rows are wide.

    Raises NotTripData for a file whose metadata announce more than any month of trips holds.
    """
    if metadata.num_rows > MAX_ROWS:
        raise NotTripData(
            f"{file}: has {metadata.num_rows:,} rows, and at most {MAX_ROWS:,} are loaded; {_ADVICE}."
        )
    widths = [_WIDTHS.get(leaf.physical_type, leaf.length) for leaf in metadata.schema]
    widest = 1
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        chunks = map(group.column, range(group.num_columns))
        sizes = [
            max(chunk.total_uncompressed_size, chunk.num_values * width)
            for chunk, width in zip(chunks, widths, strict=True)
        ]
        if sum(sizes) > BATCH_BYTES:
            widest = max(widest, sum(sizes) // max(group.num_rows, 1))
    if widest > MAX_ROW_BYTES:
        raise _wide(widest, file)
    return max(1, min(most, BATCH_BYTES // widest))


def check_rows(path: Path, rows: int, file: str) -> None:
    """Raise NotTripData for a file with more rows than bytes: they are nothing but repetitions."""
    size = path.stat().st_size
    if rows > max(size, MAX_BYTE_ROWS):
        raise NotTripData(f"{file}: has {rows:,} rows in {size:,} bytes; {_ADVICE}.")


def check_pages(path: Path, metadata: pq.FileMetaData, file: str) -> list[str]:
    """Return the paths of columns of text to read as dictionaries: see `dictionary_columns`.

    Raises NotTripData for pages that take too much memory or time, and for those that have no header.
    """
    most = max(MAX_PAGES, metadata.num_rows // ROWS_PER_PAGE)
    count, texts = 0, dict[tuple[int, str], list[TextChunk]]()
    with path.open("rb") as stream:
        for group in map(metadata.row_group, range(metadata.num_row_groups)):
            size = 0
            for place, chunk in enumerate(map(group.column, range(group.num_columns))):
                pages = _read_pages(stream, chunk, most - count, file)
                count += len(pages)
                if count > most:
                    raise NotTripData(
                        f"{file}: has more than {most:,} pages for {metadata.num_rows:,} rows; write it in"
                        " larger row groups and larger pages."
                    )
                _check_chunk(pages, chunk, metadata.schema.column(place), file)
                size += max((page.size for page in pages), default=0)
                if chunk.physical_type == "BYTE_ARRAY":
                    texts.setdefault((place, chunk.path_in_schema), []).append(TextChunk.of(pages))
            if size > MAX_PAGE_BYTES:
                raise NotTripData(
                    f"{file}: has pages of {size >> 20:,} MB, and at most {MAX_PAGE_BYTES >> 20} MB are read;"
                    " write it in smaller pages."
                )
    return dictionary_columns(path, texts, file)


def _check_chunk(
    pages: Sequence[Page], chunk: pq.ColumnChunkMetaData, leaf: pq.ColumnSchema, file: str
) -> None:
    width = _WIDTHS.get(leaf.physical_type, leaf.length)
    size = max(sum(page.size for page in pages), chunk.num_values * width)
    if size > MAX_CHUNK_BYTES and not _is_narrow(pages, leaf):
        raise NotTripData(
            f"{file}: has a row group with {size >> 20:,} MB in one column, and at most"
            f" {MAX_CHUNK_BYTES >> 20} MB are read; write it in smaller row groups."
        )


def _is_narrow(pages: Sequence[Page], leaf: pq.ColumnSchema) -> bool:
    """Whether no batch of rows holds much of the column: one value a row, and narrow values in each page.

    So are the datetimes of yellow 2009 and 2010: text, 23 bytes with its length, of 15 million rows.
    """
    data = [page for page in pages if page.content is not Content.DICTIONARY]
    return not leaf.max_repetition_level and all(page.size <= page.values * MAX_TEXT_BYTES for page in data)


def _read_pages(stream: BinaryIO, chunk: pq.ColumnChunkMetaData, most: int, file: str) -> list[Page]:
    try:
        return list(islice(read_pages(stream, chunk), most + 1))
    except ValueError as error:
        raise NotTripData(
            f"{file}: the Parquet data is damaged (it has {error}); download it again."
        ) from None


def split_text(batch: pa.RecordBatch, file: str) -> Iterator[pa.RecordBatch]:
    """The batch, or slices of it with at most BATCH_BYTES of text; its dictionaries are not decoded.

    Raises NotTripData for rows of more than MAX_ROW_BYTES of text on average.
    """
    size = sum(map(_text_bytes, batch.columns))
    if size > max(BATCH_BYTES, len(batch) * MAX_ROW_BYTES):
        raise _wide(size // len(batch), file)
    yield from _halved(batch)


def _halved(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    if len(batch) > 1 and sum(map(_text_bytes, batch.columns)) > BATCH_BYTES:
        middle = len(batch) // 2
        yield from _halved(batch[:middle])
        yield from _halved(batch[middle:])
    else:
        yield batch


def _wide(width: int, file: str) -> NotTripData:
    return NotTripData(f"{file}: has rows of {width:,} bytes on average; {_ADVICE}.")


def _text_bytes(array: pa.Array) -> int:
    """Bytes of an array's text once its dictionary is decoded."""
    kind = array.type
    if pa.types.is_struct(kind):
        return sum(map(_text_bytes, array.flatten()))
    if pa.types.is_map(kind):
        entries = slice(array.offsets[0].as_py(), array.offsets[-1].as_py())  # of a slice, not of its parent
        return _text_bytes(array.keys[entries]) + _text_bytes(array.items[entries])
    if pa.types.is_nested(kind):
        return _text_bytes(array.flatten())
    if _is_text(kind):
        return pc.sum(pc.binary_length(array)).as_py() or 0
    if not pa.types.is_dictionary(kind) or not _is_text(kind.value_type):
        return 0
    lengths = pc.binary_length(array.dictionary).to_numpy(zero_copy_only=False)
    return int(lengths[array.indices.drop_null().to_numpy()].sum())


def _is_text(kind: pa.DataType) -> bool:
    types = pa.types
    return any(
        is_type(kind)
        for is_type in (types.is_string, types.is_binary, types.is_large_string, types.is_large_binary)
    )
