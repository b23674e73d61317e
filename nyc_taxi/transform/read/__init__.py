"""From a source file to canonical Arrow record batches, by column name, in bounded memory.

A reader cuts the file into blocks, in order and cheaply (`blocks`), and turns one block into
canonical columns (`parse`), which is the work and may be done by several threads. What cannot be
read becomes an `Unreadable` row with its text, never a guess.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from nyc_taxi.model.references import SourceFile
from nyc_taxi.schema import Mapping

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

UNREADABLE = "unreadable"
"""The reason of every row that could not be read."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A row that does not parse."""

    row: int
    """Position in its block, from 0."""
    column: str | None
    """Canonical column at fault; None when the row as a whole is."""
    detail: str
    raw: str


@dataclass(frozen=True)
class Chunk:
    """One block, parsed."""

    batch: pa.RecordBatch
    """Canonical columns, then the file's unknown ones."""
    rows: np.ndarray
    """Position in the block of each row of `batch`, int64, ascending from 0."""
    rows_in: int
    """Rows of the block: those of `batch` and the unreadable ones."""
    unreadable: list[Unreadable] = field(default_factory=list)


class Reader(Protocol):
    """A source file, opened."""

    mapping: Mapping
    schema: pa.Schema
    """Of every chunk's batch."""

    def blocks(self) -> Iterator[Any]:
        """The file's blocks in order."""
        ...

    def parse(self, block: Any) -> Chunk:
        """Parse one block; safe to call from several threads."""
        ...


def as_json(row: dict[str, Any]) -> str:
    r"""A row as JSON that any database takes: `\x00` for a NUL, and NaN and infinity as text."""
    plain = {
        name: str(value) if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in row.items()
    }
    return json.dumps(_without_nul(plain), default=str)


def _without_nul(value: Any) -> Any:
    r"""The value with `\x00` for each NUL; in its JSON, `\u0000` may also follow an escaped backslash."""
    match value:
        case str():
            return value.replace("\0", r"\x00")
        case list() | tuple():
            return [_without_nul(item) for item in value]
        case dict():
            return {_without_nul(name): _without_nul(item) for name, item in value.items()}
    return value


def open_month(source: SourceFile) -> Reader:
    """Open a month's file, whatever its format; raises NotTripData or SchemaError."""
    from nyc_taxi.extract.formats import detect_format
    from nyc_taxi.transform.read.csv import CsvReader
    from nyc_taxi.transform.read.parquet import ParquetReader

    if detect_format(source.path) == "parquet":
        return ParquetReader(source)
    return CsvReader(source)
