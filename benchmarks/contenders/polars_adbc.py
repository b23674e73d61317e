"""polars with the ADBC driver: a frame, and `write_database`."""

from __future__ import annotations

import sys

import polars as pl

from benchmarks.contenders import SCHEMA, TABLE


def main(file: str, url: str) -> None:
    """Load the month."""
    rows = pl.read_csv(file, try_parse_dates=True, infer_schema_length=10_000)
    rows.write_database(f"{SCHEMA}.{TABLE}", url, engine="adbc")


if __name__ == "__main__":
    main(*sys.argv[1:])
