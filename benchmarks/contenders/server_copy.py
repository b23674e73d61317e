"""A limit: the server reads the same trips from its own disk, in its own binary format.

FILE is the output of COPY TO and belongs to the server. The table has no index, partition or constraint.
Only the statement is timed.
"""

from __future__ import annotations

import sys
import time

import psycopg2

from benchmarks.contenders import SCHEMA, TABLE


def main(file: str, url: str, like: str) -> None:
    """Copy, and print the seconds; `like` is a table with the trips' columns."""
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
