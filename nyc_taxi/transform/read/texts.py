"""Columns of text that are read as dictionaries, so that their text is measured before it is decoded.

Arrow keeps the dictionary of a row group until its end, and adds each value of plain pages to it: some
130 bytes for each. Writers begin a dictionary, and write plain pages when it is full (1 MB), so a
column of many different texts, such as the datetimes of yellow 2009, is read as plain text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nyc_taxi.errors import NotTripData
from nyc_taxi.transform.read.pages import Content, Page

MAX_TEXTS = 1 << 20
"""Texts of a row group in dictionaries, with those that Arrow adds to them."""

MAX_TEXT_BYTES = 48
"""Bytes of the longest text that is decoded without being measured; datetimes have 19 to 32."""


@dataclass(frozen=True, slots=True)
class TextChunk:
    """What the pages of a column of text hold in one row group."""

    in_dictionary: int
    """Texts in its dictionary."""
    beside: int
    """Values of data pages that do not use it."""
    is_plain: bool
    """Whether all pages are plain."""
    is_ordered: bool
    """Whether all pages are plain from some page on, and use the dictionary before it."""

    @classmethod
    def of(cls, pages: Sequence[Page]) -> TextChunk:
        """Sum the pages up."""
        contents = [page.content for page in pages]
        return cls(
            sum(page.values for page in pages if page.content is Content.DICTIONARY),
            sum(page.values for page in pages if page.content >= Content.PLAIN),
            is_plain=all(content is Content.PLAIN for content in contents),
            is_ordered=contents == sorted(contents) and Content.OTHER not in contents,
        )


def dictionary_columns(
    path: Path, columns: Mapping[tuple[int, str], Sequence[TextChunk]], file: str
) -> list[str]:
    """Return the paths of the columns to read as dictionaries.

    The others are plain, or have short texts and more of them than their dictionary holds. `columns` has the
    chunks of all row groups, by a column's place and its path, which other columns may share. Raises
    NotTripData for dictionaries that take too much memory.
    """
    names = [
        name
        for (_, name), chunks in columns.items()
        if not all(chunk.is_plain for chunk in chunks) and not _is_decoded(path, name, chunks)
    ]
    for group in zip(*columns.values(), strict=True):
        texts = sum(
            chunk.in_dictionary + (chunk.beside if name in names else 0)
            for (_, name), chunk in zip(columns, group, strict=True)
        )
        if texts > MAX_TEXTS:
            raise NotTripData(
                f"{file}: has {texts:,} texts in the dictionaries of a row group, and at most"
                f" {MAX_TEXTS:,} are read; write it in smaller row groups or without dictionaries."
            )
    return names


def _is_decoded(path: Path, name: str, chunks: Sequence[TextChunk]) -> bool:
    """Whether a column overflows its dictionary, and all texts of its dictionaries are short."""
    if not all(chunk.is_ordered for chunk in chunks):
        return False
    if not any(chunk.in_dictionary and chunk.beside for chunk in chunks):
        return False
    if max(chunk.in_dictionary for chunk in chunks) > MAX_TEXTS:
        return False
    file = pq.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False, read_dictionary=[name])
    return all(
        _has_short_dictionary(file, name, group, chunk.in_dictionary)
        for group, chunk in enumerate(chunks)
        if chunk.in_dictionary
    )


def _has_short_dictionary(file: pq.ParquetFile, name: str, group: int, size: int) -> bool:
    """Whether a row group's dictionary, which Arrow reads with the first row, is whole and of short texts."""
    try:
        row = next(file.iter_batches(1, row_groups=[group], columns=[name]), None)
    except (pa.ArrowInvalid, OSError):
        return False  # blocks() says what is wrong
    if row is None or row.num_columns != 1 or not pa.types.is_dictionary(row.schema.types[0]):
        return False
    texts = row.column(0).dictionary
    return len(texts) == size and pc.max(pc.binary_length(texts)).as_py() <= MAX_TEXT_BYTES
