"""Ours: load a month's Parquet (FILE is its folder) into one destination, with manifest or ledger."""

from __future__ import annotations

import importlib
import sys
import time
from pathlib import Path

from nyc_taxi.cli.pandas_import import keep_pandas_out
from nyc_taxi.lake.versions import read_month
from nyc_taxi.model.run import Run, RunContext
from nyc_taxi.pipelines.trips.load import load
from nyc_taxi.settings import load_settings
from nyc_taxi.transform.refined import RefinedMonth

LIBRARIES = {"gcs": "google.cloud.storage", "duckdb": "duckdb"}
"""By destination: what the other contenders import before they start their clocks."""


def main(folder: str, destination: str) -> None:
    """Load, and print the seconds of loading alone."""
    keep_pandas_out()  # as `taxi` does
    files = read_month(Path(folder))
    assert files is not None, folder
    context = RunContext(load_settings(), Run("benchmark", "cli"))
    # earlier steps of a run import Arrow
    for library in ("nyc_taxi.transform.clean", LIBRARIES[destination]):
        importlib.import_module(library)
    started = time.perf_counter()
    load(RefinedMonth.of(files), destination, context)
    print(f"load {time.perf_counter() - started:.6f} s")


if __name__ == "__main__":
    main(*sys.argv[1:])
