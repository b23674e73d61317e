"""Mage's own exporter: a pandas frame, and `mage_ai.io.postgres.Postgres.export` (in Mage's environment)."""

from __future__ import annotations

import sys
from urllib.parse import urlsplit

import pandas as pd
from mage_ai.io.postgres import Postgres

from benchmarks.contenders import SCHEMA, TABLE, TIMES


def main(file: str, url: str) -> None:
    """Load the month."""
    rows = pd.read_csv(file, parse_dates=TIMES, low_memory=False)
    place = urlsplit(url)
    with Postgres(
        dbname=place.path[1:],
        user=place.username,
        password=place.password,
        host=place.hostname,
        port=place.port,
        verbose=False,
    ) as postgres:
        postgres.export(rows, SCHEMA, TABLE, index=False, if_exists="replace")


if __name__ == "__main__":
    main(*sys.argv[1:])
