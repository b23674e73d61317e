"""The script of the Data Engineering Zoomcamp: pandas in chunks of 100,000 rows, `to_sql`."""

from __future__ import annotations

import sys

import pandas as pd
from sqlalchemy import create_engine

from benchmarks.contenders import SCHEMA, TABLE, TIMES


def main(file: str, url: str) -> None:
    """Load the month."""
    engine = create_engine(url)
    for number, rows in enumerate(pd.read_csv(file, iterator=True, chunksize=100_000, low_memory=False)):
        for name in TIMES:
            rows[name] = pd.to_datetime(rows[name])
        if number == 0:
            rows.head(n=0).to_sql(TABLE, engine, schema=SCHEMA, if_exists="replace")
        rows.to_sql(TABLE, engine, schema=SCHEMA, if_exists="append")


if __name__ == "__main__":
    main(*sys.argv[1:])
