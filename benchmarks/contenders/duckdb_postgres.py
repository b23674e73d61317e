"""DuckDB with its Postgres extension: one statement reads the file and writes the table by binary COPY."""

from __future__ import annotations

import sys
from importlib import resources

import duckdb

from benchmarks.contenders import SCHEMA, TABLE


def main(file: str, url: str) -> None:
    """Load the month."""
    with duckdb.connect() as database:
        database.load_extension(_extension())
        database.execute(f"ATTACH '{url}' AS server (TYPE postgres)")
        database.execute(f"CREATE TABLE server.{SCHEMA}.{TABLE} AS FROM read_csv('{file}')")


def _extension() -> str:
    """Return the extension's file from its wheel; `INSTALL postgres` would download it."""
    wheel = resources.files("duckdb_extension_postgres_scanner")
    return str(wheel / "extensions" / f"v{duckdb.__version__}" / "postgres_scanner.duckdb_extension")


if __name__ == "__main__":
    main(*sys.argv[1:])
