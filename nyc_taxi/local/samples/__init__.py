"""Sample months: generated trip files that look like TLC's, for any service and month.

They serve to try the pipeline out without network access, and tests, which know the exact number of
faulty rows.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from nyc_taxi.errors import SettingsError
from nyc_taxi.files import replacing
from nyc_taxi.local.samples.eras import csv_era, parquet_era
from nyc_taxi.local.samples.plan import Plan, make_plan, parts
from nyc_taxi.local.samples.trips import make_rows
from nyc_taxi.local.samples.write_csv import write_csv
from nyc_taxi.local.samples.write_parquet import write_parquet
from nyc_taxi.model.months import Month, Service


@dataclass(frozen=True)
class Expected:
    """Row counts of a sample, named like the rules that match the rows where such rules exist."""

    rows: int
    null_block: int
    """Rows at the end of the file without passenger count, rate code and flag."""
    outside_month: int
    dropoff_before_pickup: int
    exact_duplicate: int
    """Rows equal to an earlier one in every column."""
    reversal_pairs: int
    """Pairs of rows, the negative one first."""
    negative_total: int
    """Rows with a negative total, and a negative fare; includes the negative rows of reversal pairs."""
    no_passengers: int
    many_passengers: int
    unknown_rate_code: int
    no_distance: int
    absurd_distance: int
    stored_and_forwarded: int
    unknown_zone: int
    zero_coordinates: int
    unreadable: int
    """Rows with one unreadable cell, otherwise plain trips."""


def write(
    service: Service,
    month: Month,
    path: Path,
    rows: int | None = None,
    seed: int = 1,
    quirks: bool = True,
    malformed: int = 0,
) -> Expected:
    """Write a sample month and return its row counts.

    The ending of `path` selects the format: `.csv`, `.csv.gz` or `.parquet`. `rows` counts all rows of
    the file; `quirks` adds the faults of TLC's own files and the null block; `malformed` rows of a CSV
    have an unreadable cell. The same arguments give the same bytes. The file is written atomically.
    Raises SettingsError.
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
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as part, part.open("wb") as file:
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
def _gzip(file: BinaryIO) -> Iterator[BinaryIO]:
    """Yield a gzip file without time and name in its header, so that its bytes are reproducible."""
    from isal import igzip

    with igzip.IGzipFile("", "wb", compresslevel=3, fileobj=file, mtime=0) as inner:
        yield inner
