"""Sample months: generated trip files that look like TLC's of any service and month.

For trying the pipeline out without a network, and for tests: what is wrong in the file, and how
often, is known exactly.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from nyc_taxi.errors import SettingsError
from nyc_taxi.local.samples.eras import csv_era, parquet_era
from nyc_taxi.local.samples.plan import Plan, make_plan, parts
from nyc_taxi.local.samples.trips import make_rows
from nyc_taxi.local.samples.write_csv import write_csv
from nyc_taxi.local.samples.write_parquet import write_parquet
from nyc_taxi.model.months import Month, Service


@dataclass(frozen=True)
class Expected:
    """What a sample holds: counts of rows, named as the rules that find them where there are such rules."""

    rows: int
    null_block: int
    """Rows at the end of the file that lack passengers, rate and flag."""
    outside_month: int
    dropoff_before_pickup: int
    exact_duplicate: int
    """Rows equal in every column to an earlier one."""
    reversal_pairs: int
    """Pairs: each is two rows, the negative one first."""
    negative_total: int
    """With the negative halves of the pairs; in as many rows is the fare negative."""
    no_passengers: int
    many_passengers: int
    unknown_rate_code: int
    no_distance: int
    absurd_distance: int
    stored_and_forwarded: int
    unknown_zone: int
    zero_coordinates: int
    unreadable: int
    """With a cell that cannot be read; otherwise such a row is a plain trip."""


def write(
    service: Service,
    month: Month,
    path: Path,
    rows: int | None = None,
    seed: int = 1,
    quirks: bool = True,
    malformed: int = 0,
) -> Expected:
    """Write a sample month and say what is in it.

    The ending of `path` decides the format: `.csv`, `.csv.gz` or `.parquet`. `rows` counts all rows
    of the file; `quirks` are what is wrong in TLC's own files (and the null block); `malformed` rows
    of a CSV have a cell that cannot be read. The same arguments give the same bytes. The file is
    there in full or not at all. Raises SettingsError.
    """
    compressed, plain = path.name.endswith(".csv.gz"), path.name.endswith(".csv")
    if not (compressed or plain or path.name.endswith(".parquet")):
        raise SettingsError(f"{path}: a sample must end in .csv, .csv.gz or .parquet.")
    is_csv = compressed or plain
    if malformed and not is_csv:
        raise SettingsError(
            f"{path}: malformed={malformed} is only possible in CSV; Parquet has typed columns."
        )
    era = (csv_era if is_csv else parquet_era)(service, month)
    plan = make_plan(service, month, era, rows, seed, quirks, malformed)
    batches = (make_rows(part, plan, era) for part in parts(plan))
    try:
        with _replacing(path) as file:
            if compressed:
                with _gzip(file) as inner:
                    write_csv(inner, era, batches)
            else:
                (write_csv if is_csv else write_parquet)(file, era, batches)
    except OSError as error:
        raise SettingsError(f"{path}: the sample cannot be written ({error.strerror or error}).") from None
    return _expected(plan)


def _expected(plan: Plan) -> Expected:
    counts = dict(plan.quirks)
    pairs, alone = counts.pop("reversal"), counts.pop("negative")
    return Expected(
        rows=plan.rows,
        null_block=plan.null_block,
        reversal_pairs=pairs,
        negative_total=pairs + alone,
        **counts,
    )


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """A new file that takes the path's place when it is complete, and is gone when it is not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with unfinished.open("wb") as file:
            yield file
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


@contextlib.contextmanager
def _gzip(file: BinaryIO) -> Iterator[BinaryIO]:
    """Compression without a time or a name in it: the same bytes every time."""
    from isal import igzip

    with igzip.IGzipFile("", "wb", compresslevel=3, fileobj=file, mtime=0) as inner:
        yield inner
