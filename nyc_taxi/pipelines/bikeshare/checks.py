"""Check a day's rows before loading: refuse invalid rows, count suspicious ones."""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import duckdb
import yaml

from nyc_taxi.errors import SourceError
from nyc_taxi.pipelines.bikeshare.tables import RawTable
from nyc_taxi.schema.sql import literal


@dataclass(frozen=True)
class Check:
    """A query that counts rows; see checks.yaml."""

    name: str
    table: str
    refuse: bool
    why: str
    sql: str


@functools.cache
def checks() -> tuple[Check, ...]:
    """Return the checks of checks.yaml."""
    text = resources.files("nyc_taxi.pipelines.bikeshare").joinpath("checks.yaml").read_text(encoding="utf-8")
    return tuple(Check(**check) for check in yaml.safe_load(text)["checks"])


def check_day(day: dt.date, files: Mapping[RawTable, Path]) -> dict[str, dict[str, int]]:
    """Run the checks of each table on its Parquet file and return their counts.

    Raises SourceError naming table, day and count if the rows must not be loaded.
    """
    counts: dict[str, dict[str, int]] = {table.name: {} for table in files}
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for table, path in files.items():
            connection.execute(f"CREATE VIEW {table.name} AS FROM read_parquet({literal(str(path))})")
            _check_key(connection, table, day)
        for check in checks():
            values: dict[str, object] = {"day": day} if "$day" in check.sql else {}
            count = _count(connection, check.sql, values)
            if count and check.refuse:
                raise SourceError(
                    f"{check.table} of {day}: {count:,} {check.name.replace('_', ' ')}. {check.why}"
                    " Nothing was loaded: correct the rows in the source and run the day again."
                )
            counts[check.table][check.name] = count
    return counts


def _check_key(connection: duckdb.DuckDBPyConnection, table: RawTable, day: dt.date) -> None:
    rows = _count(connection, f"SELECT COUNT(*) FROM {table.name}", {})
    if not rows:
        raise SourceError(f"{table.name} of {day}: the table has no rows, so nothing was loaded.")
    repeated = connection.execute(
        f"SELECT {table.key} FROM {table.name} GROUP BY {table.key} HAVING COUNT(*) > 1"
        f" ORDER BY {table.key} LIMIT 1"
    ).fetchone()
    if repeated:
        extra = rows - _count(connection, f"SELECT COUNT(DISTINCT {table.key}) FROM {table.name}", {})
        raise SourceError(
            f"{table.name} of {day}: {extra:,} rows repeat the {table.key} of another, such as"
            f" {repeated[0]!r}. Nothing was loaded: correct the rows in the source and run the day again."
        )


def _count(connection: duckdb.DuckDBPyConnection, sql: str, values: dict[str, object]) -> int:
    row = connection.execute(sql, values).fetchone()
    assert row is not None, "a count has a row"
    return int(row[0])
