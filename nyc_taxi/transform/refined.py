"""The refined month: what destinations load, whether its Parquet is complete or still being written."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from nyc_taxi.errors import DestinationError, LocalFileLost
from nyc_taxi.model.references import CleanMonth, MonthFiles
from nyc_taxi.transform.judged import staged_trips
from nyc_taxi.transform.rules import Rules

Batches = tuple[pa.Schema, Iterator[pa.RecordBatch]]
"""A schema without metadata, and record batches of it."""

BATCH_ROWS = 8192
"""So small that a server works on one batch while the next is encoded (64k rows take 20 % longer)."""


@dataclass(frozen=True)
class RefinedMonth:
    """A month to load: its counts, its trips as record batches, and its Parquet files."""

    summary: CleanMonth
    """Counts and version."""
    trips: Callable[[], Batches]
    """Opens the trips: the same rows in the same order as in the Parquet, without the constants."""
    files: Callable[[], MonthFiles]
    """The Parquet files; waits until they are complete and raises what went wrong with them."""
    constants: Mapping[str, str] = field(default_factory=dict)
    """Columns that `trips` omits because every trip has the same text in them."""

    @classmethod
    def of(cls, files: MonthFiles) -> RefinedMonth:
        """A month whose Parquet is complete."""
        return cls(files, lambda: read_batches(files.trips_path), lambda: files)

    @classmethod
    def stored(cls, files: MonthFiles, fetch: Callable[[], MonthFiles]) -> RefinedMonth:
        """A month in the lake; `fetch` brings its files to this machine when they are first needed."""
        lock, fetched = threading.Lock(), list[MonthFiles]()

        def local() -> MonthFiles:
            with lock:  # destinations load side by side
                if not fetched:
                    fetched.append(fetch())
                return fetched[0]

        return cls(files, lambda: read_batches(local().trips_path), local)

    @classmethod
    def in_progress(cls, clean: CleanMonth, rules: Rules, writing: Future[MonthFiles]) -> RefinedMonth:
        """A month whose Parquet is being written: trips come from the staged month.

        `rules` are those by which it was cleaned. Where another run has finished the month and removed
        what was staged, trips come from the Parquet.
        """

        def trips() -> Batches:
            try:
                return staged_trips(clean, rules, writing)
            except FileNotFoundError:
                return read_batches(writing.result().trips_path)

        return cls(clean, trips, writing.result, {"source_version": clean.source.version})


def read_batches(path: Path) -> Batches:
    """The file's schema and its batches; raises DestinationError when it is no whole Parquet file."""
    try:
        file = pq.ParquetFile(path)
    except FileNotFoundError:
        raise LocalFileLost(f"{path}: no longer exists; run the month again to recreate it.") from None
    except (OSError, pa.ArrowInvalid) as error:
        raise _unreadable(path, error) from error
    return file.schema_arrow.remove_metadata(), _batches(file, path)


def _batches(file: pq.ParquetFile, path: Path) -> Iterator[pa.RecordBatch]:
    with file:
        try:
            yield from file.iter_batches(BATCH_ROWS)
        except (OSError, pa.ArrowInvalid) as error:
            raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> DestinationError:
    return DestinationError(f"{path}: cannot be read ({error}); run the month again.")
