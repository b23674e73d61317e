"""ClickHouse inside Python (chDB): one statement reads the file and inserts into the function `postgresql`.

The function needs an existing table; ClickHouse infers its columns from the file.
"""

from __future__ import annotations

import re
import sys

import chdb
import psycopg2
from sqlalchemy.engine import make_url

from benchmarks.contenders import SCHEMA, TABLE

TYPES = {"Int64": "bigint", "Float64": "double precision", "DateTime": "timestamp"}
"""Postgres's types by ClickHouse's; all others are text."""


def main(file: str, url: str) -> None:
    """Load the month."""
    rows = f"file('{file}', 'CSVWithNames')"
    columns = [line.split("\t")[:2] for line in chdb.query(f"DESCRIBE {rows}", "TSV").data().splitlines()]
    definitions = ", ".join(f'"{name}" {_postgres_type(kind)}' for name, kind in columns)
    with psycopg2.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE {SCHEMA}.{TABLE} ({definitions})")
    connection.close()
    server = make_url(url)
    place = [f"{server.host}:{server.port}", server.database, TABLE, server.username, server.password, SCHEMA]
    target = ", ".join(f"'{value}'" for value in place)
    chdb.query(f"INSERT INTO FUNCTION postgresql({target}) SELECT * FROM {rows}")


def _postgres_type(kind: str) -> str:
    """Return the type of a column whose inferred type is `Nullable(DateTime)`, for example."""
    known = re.search("|".join(TYPES), kind)
    return TYPES[known[0]] if known else "text"


if __name__ == "__main__":
    main(*sys.argv[1:])
