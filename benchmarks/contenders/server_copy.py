"""A limit: the server itself reads the same trips from its own disk, in its own binary format.

FILE was written by COPY TO, and belongs to the server. The table is as plain as can be: no index, no
partition, no constraint. Only the statement is timed.
"""

from __future__ import annotations

import sys
import time

import psycopg2

from benchmarks.contenders import SCHEMA, TABLE


def main(file: str, url: str, like: str) -> None:
    """Print the seconds; `like` is a table that has the trips' columns."""
    connection = psycopg2.connect(url)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE {SCHEMA}.{TABLE} (LIKE {like})")
        started = time.perf_counter()
        cursor.execute(f"COPY {SCHEMA}.{TABLE} FROM '{file}' (FORMAT binary)")
        print(f"copy {time.perf_counter() - started:.6f} s")
    connection.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
