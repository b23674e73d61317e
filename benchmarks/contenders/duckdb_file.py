"""DuckDB alone: load the trips' Parquet into a table of a new database (PLACE is its file)."""

from __future__ import annotations

import sys
import time

import duckdb


def main(folder: str, database: str) -> None:
    """Load, and print the seconds of loading alone."""
    started = time.perf_counter()
    with duckdb.connect(database) as connection:
        connection.execute(f"CREATE TABLE trips AS FROM read_parquet('{folder}/trips.parquet')")
    print(f"load {time.perf_counter() - started:.6f} s")


if __name__ == "__main__":
    main(*sys.argv[1:])
