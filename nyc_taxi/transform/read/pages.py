"""Sizes of a Parquet file's pages: Arrow decompresses a page as a whole, however large it says it is.

The footer has the sizes of column chunks only, and TLC's files of 2022 have all rows in one row group. A page
begins with its header, a struct of Thrift's compact protocol:
https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pyarrow.parquet as pq

_HEADER_BYTES = 1 << 10
_LONGEST_HEADER_BYTES = 1 << 20
"""A header may hold the smallest and the largest value of its page."""

_BOOLEANS, _BYTE, _INTEGERS, _DOUBLE, _BINARY, _LISTS, _STRUCT = (1, 2), 3, (4, 5, 6), 7, 8, (9, 10), 12
_LENGTHS = {**dict.fromkeys((*_BOOLEANS, _BYTE), 1), _DOUBLE: 8}
_UNCOMPRESSED, _COMPRESSED = 2, 3
"""Fields of a page's header."""


def largest_pages(path: Path, metadata: pq.FileMetaData) -> Iterator[int]:
    """For each row group, the decompressed bytes of the largest page of every column, added up.

    Raises ValueError for a header that cannot be read.
    """
    with path.open("rb") as file:
        for group in map(metadata.row_group, range(metadata.num_row_groups)):
            chunks = map(group.column, range(group.num_columns))
            yield sum(max(_page_sizes(file, chunk), default=0) for chunk in chunks)


def _page_sizes(file: BinaryIO, chunk: pq.ColumnChunkMetaData) -> Iterator[int]:
    start = chunk.data_page_offset
    if chunk.has_dictionary_page and chunk.dictionary_page_offset:
        start = min(start, chunk.dictionary_page_offset)
    end = start + chunk.total_compressed_size
    while start < end and chunk.num_values:  # an empty chunk may have no offset
        uncompressed, length = _page(file, start)
        if length <= 0:
            raise ValueError("a page without bytes")
        yield uncompressed
        start += length


def _page(file: BinaryIO, start: int) -> tuple[int, int]:
    """A page's decompressed bytes, and those that it has in the file with its header."""
    for size in (_HEADER_BYTES, _LONGEST_HEADER_BYTES):
        file.seek(start)
        header = _Compact(file.read(size))
        try:
            fields = header.struct()
            return fields[_UNCOMPRESSED], header.place + fields[_COMPRESSED]
        except IndexError:
            continue
        except (KeyError, RecursionError):
            break
    raise ValueError("a page without a header")


class _Compact:
    """A reader of Thrift's compact protocol, as far as headers of pages use it."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.place = 0

    def struct(self) -> dict[int, int]:
        """The integers of a struct by field; raises IndexError at the end of the data."""
        fields: dict[int, int] = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._integer()
            if head & 15 in _INTEGERS:
                fields[number] = self._integer()
            elif head & 15 not in _BOOLEANS:  # whose value is in the type
                self._skip(head & 15)
        return fields

    def _skip(self, kind: int) -> None:
        if kind == _STRUCT:
            self.struct()
        elif kind in _INTEGERS:
            self._varint()
        elif kind in _LISTS:
            head = self._byte()
            for _ in range(self._varint() if head >> 4 == 15 else head >> 4):
                self._skip(head & 15)
        else:
            length = self._varint() if kind == _BINARY else _LENGTHS[kind]
            self.place += length
            if self.place > len(self._data):  # or a list could be skipped for ever
                raise IndexError

    def _byte(self) -> int:
        self.place += 1
        return self._data[self.place - 1]

    def _varint(self) -> int:
        value = shift = 0
        while (byte := self._byte()) & 128:
            value |= (byte & 127) << shift
            shift += 7
        return value | byte << shift

    def _integer(self) -> int:
        value = self._varint()
        return value >> 1 ^ -(value & 1)  # zigzag
