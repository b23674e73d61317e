"""Sizes of a Parquet file's pages: Arrow decompresses a page as a whole, however large it says it is.

The footer has the sizes of column chunks only, and TLC's files of 2022 have all rows in one row group. A page
begins with its header, a struct of Thrift's compact protocol:
https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, BinaryIO

import pyarrow.parquet as pq

_HEADER_BYTES = 1 << 10
_LONGEST_HEADER_BYTES = 1 << 20
"""A header may hold the smallest and the largest value of its page."""

_BOOLEANS, _BYTE, _INTEGERS, _DOUBLE, _BINARY, _LISTS, _STRUCT = (1, 2), 3, (4, 5, 6), 7, 8, (9, 10), 12
_LENGTHS = {**dict.fromkeys((*_BOOLEANS, _BYTE), 1), _DOUBLE: 8}

_KIND, _UNCOMPRESSED, _COMPRESSED = 1, 2, 3
"""Fields of a page's header."""

_DICTIONARY = 2
_OWN_HEADERS = {0: (5, 2), _DICTIONARY: (7, 2), 3: (8, 4)}
"""By kind of page: the field with its own header, and in that the field of the encoding; 1 is its values."""

_PLAIN, _CODED = 0, (2, 8)
"""Encodings: as they are, and as places in the column's dictionary."""


class Content(IntEnum):
    """What the values of a page are."""

    DICTIONARY = 0
    """Those of the column's dictionary."""
    PLACES = 1
    """Places in the dictionary."""
    PLAIN = 2
    """Themselves, one after the other."""
    OTHER = 3
    """Encoded in another way: texts may share prefixes."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a column."""

    size: int
    """Decompressed bytes."""
    values: int
    content: Content


def read_pages(file: BinaryIO, chunk: pq.ColumnChunkMetaData) -> Iterator[Page]:
    """Read the headers of a column chunk's pages; raises ValueError for one that cannot be read."""
    start = chunk.data_page_offset
    if chunk.has_dictionary_page and chunk.dictionary_page_offset:
        start = min(start, chunk.dictionary_page_offset)
    end = start + chunk.total_compressed_size
    while start < end and chunk.num_values:  # an empty chunk may have no offset
        page, length = _page(file, start)
        if length <= 0 or min(page.size, page.values) < 0:
            raise ValueError("a page without bytes")
        yield page
        start += length


def _page(file: BinaryIO, start: int) -> tuple[Page, int]:
    """A page, and the bytes that it has in the file with its header."""
    for size in (_HEADER_BYTES, _LONGEST_HEADER_BYTES):
        file.seek(start)
        header = _Compact(file.read(size))
        try:
            fields = header.struct()
            return _of(fields), header.place + fields[_COMPRESSED]
        except IndexError:
            continue
        except (KeyError, TypeError, RecursionError):
            break
    raise ValueError("a page without a header")


def _of(fields: dict[int, Any]) -> Page:
    kind, size = fields[_KIND], int(fields[_UNCOMPRESSED])  # a struct is no number: TypeError
    if kind not in _OWN_HEADERS:  # an index, which Arrow skips
        return Page(size, 0, Content.PLAIN)
    own, encoding = _OWN_HEADERS[kind]
    values, encoding = int(fields[own][1]), fields[own][encoding]
    if kind == _DICTIONARY:
        return Page(size, values, Content.DICTIONARY)
    if encoding in _CODED:
        return Page(size, values, Content.PLACES)
    return Page(size, values, Content.PLAIN if encoding == _PLAIN else Content.OTHER)


class _Compact:
    """A reader of Thrift's compact protocol, as far as headers of pages use it."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.place = 0

    def struct(self) -> dict[int, Any]:
        """The integers and structs of a struct by field; raises IndexError at the end of the data."""
        fields: dict[int, Any] = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._integer()
            if head & 15 in _INTEGERS:
                fields[number] = self._integer()
            elif head & 15 == _STRUCT:
                fields[number] = self.struct()
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
