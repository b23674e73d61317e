"""dlt, with "fast loading with Arrow tables and parquet" of its Postgres page: no Python objects, and ADBC.

The page's other fast method, by CSV, is slower.
"""

from __future__ import annotations

import sys
import tempfile

import dlt
from pyarrow import csv

from benchmarks.contenders import SCHEMA, TABLE


def main(file: str, url: str) -> None:
    """Load the month."""
    with tempfile.TemporaryDirectory() as folder:
        pipeline = dlt.pipeline(
            "trips",
            pipelines_dir=folder,
            destination=dlt.destinations.postgres(url),
            dataset_name=SCHEMA,
        )
        pipeline.run(csv.read_csv(file), table_name=TABLE, loader_file_format="parquet")


if __name__ == "__main__":
    main(*sys.argv[1:])
