"""Estimate time and cost of all of TLC's history from one month: an order of magnitude only."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

ROWS = 3_500_000_000
"""Approximate rows that TLC has published since 2009: yellow, green and for-hire."""

MACHINES = 24
"""Months, which are independent, to load in parallel."""

# List prices of Google for the region us-central1, in US dollars.
STORAGE_PRICE = 0.02
"""BigQuery's logical storage per GiB and month; half for partitions unchanged for 90 days."""
BUCKET_PRICE = 0.02
"""Standard storage per GiB and month."""
QUERY_PRICE = 6.25
"""On-demand queries per TiB scanned. Load jobs are free."""

GIB = 2**30


@dataclass(frozen=True)
class Sizes:
    """Storage sizes of one month."""

    rows: int
    parquet: int
    """Bytes of the month's Parquet files."""
    logical: int
    """Bytes of the trips as BigQuery counts them."""


@dataclass(frozen=True)
class History:
    """The estimate for all rows."""

    rows_per_second: float
    hours: float
    hours_side_by_side: float
    parquet_gib: float
    bucket_dollars: float
    """A month."""
    logical_gib: float
    storage_dollars: float
    """A month."""
    scan_dollars: float
    """Cost of a query that reads every column of every row."""


def reckon(rows: int, seconds: float, sizes: Sizes) -> History:
    """Estimate from one run over `rows` rows and the sizes of a month."""
    hours = ROWS / rows * seconds / 3600
    parquet = sizes.parquet / sizes.rows * ROWS / GIB
    logical = sizes.logical / sizes.rows * ROWS / GIB
    return History(
        rows_per_second=rows / seconds,
        hours=hours,
        hours_side_by_side=hours / MACHINES,
        parquet_gib=parquet,
        bucket_dollars=parquet * BUCKET_PRICE,
        logical_gib=logical,
        storage_dollars=logical * STORAGE_PRICE,
        scan_dollars=logical / 1024 * QUERY_PRICE,
    )


def logical_bytes(path: Path) -> int:
    """Return the size of a Parquet file's rows as BigQuery counts it.

    A number or timestamp has 8 bytes, a string 2 more than its length, a null 0.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    size = 0
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches():
            for column in batch.columns:
                if pa.types.is_list(column.type):
                    column = column.flatten()
                present = len(column) - column.null_count
                if pa.types.is_string(column.type):
                    size += 2 * present + (pc.sum(pc.binary_length(column)).as_py() or 0)
                else:
                    size += (1 if pa.types.is_boolean(column.type) else 8) * present
    return size


if __name__ == "__main__":  # a child process, because the harness must not import pyarrow
    print(logical_bytes(Path(sys.argv[1])))
