"""The refined month, which destinations load; its Parquet may be complete or still being written."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from nyc_taxi.errors import DestinationError, LocalFileLost
from nyc_taxi.model.references import CleanMonth, MonthFiles
from nyc_taxi.transform.rules import Rules

if TYPE_CHECKING:  # a run that finds its month loaded does not import Arrow
    import pyarrow as pa
    import pyarrow.parquet as pq

Batches: TypeAlias = "tuple[pa.Schema, Iterator[pa.RecordBatch]]"
"""A schema without metadata, and its record batches."""

BATCH_ROWS = 8192
"""Rows per batch; small, so that a server processes one while the next is encoded (64k take 20 % longer)."""


@dataclass(frozen=True)
class RefinedMonth:
    """A month to load: its counts, its trips as record batches, and its Parquet files."""

    summary: CleanMonth
    """Counts and version."""
    trips: Callable[[], Batches]
    """Opens the trips, with the rows and order of the Parquet but without the constants."""
    files: Callable[[], MonthFiles]
    """Waits until the Parquet files are complete and returns them; raises if writing failed."""
    constants: Mapping[str, str] = field(default_factory=dict)
    """Columns that `trips` omits because all trips have the same text."""

    @classmethod
    def of(cls, files: MonthFiles) -> RefinedMonth:
        """Return a month whose Parquet is complete."""
        return cls(files, lambda: read_batches(files.trips_path), lambda: files)

    @classmethod
    def stored(cls, files: MonthFiles, fetch: Callable[[], MonthFiles]) -> RefinedMonth:
        """Return a month in the lake; `fetch` downloads its files when they are first needed."""
        lock, fetched = threading.Lock(), list[MonthFiles]()

        def local() -> MonthFiles:
            with lock:  # destinations load in parallel
                if not fetched:
                    fetched.append(fetch())
                return fetched[0]

        return cls(files, lambda: read_batches(local().trips_path), local)

    @classmethod
    def in_progress(cls, clean: CleanMonth, rules: Rules, writing: Future[MonthFiles]) -> RefinedMonth:
        """Return a month whose Parquet is being written: trips come from the staged month.

        `rules` are those that cleaned it. If another run has completed the month and removed the staged
        files, trips come from the Parquet.
        """

        def trips() -> Batches:
            from nyc_taxi.transform.judged import staged_trips

            try:
                return staged_trips(clean, rules, writing)
            except FileNotFoundError:
                return read_batches(writing.result().trips_path)

        return cls(clean, trips, writing.result, {"source_version": clean.source.version})


def read_batches(path: Path) -> Batches:
    """Return the file's schema and batches; raises DestinationError if it is not a complete Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
    except FileNotFoundError:
        raise LocalFileLost(f"{path}: no longer exists; run the month again to recreate it.") from None
    except (OSError, pa.ArrowInvalid) as error:
        raise _unreadable(path, error) from error
    return file.schema_arrow.remove_metadata(), _batches(file, path)


def _batches(file: pq.ParquetFile, path: Path) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    with file:
        try:
            yield from file.iter_batches(BATCH_ROWS)
        except (OSError, pa.ArrowInvalid) as error:
            raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> DestinationError:
    return DestinationError(f"{path}: cannot be read ({error}); run the month again.")
