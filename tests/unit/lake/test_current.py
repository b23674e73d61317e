"""The current version of a month, as a data set that engines read without knowing about versions."""

from __future__ import annotations

import dataclasses
import os
import time
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pytest

from nyc_taxi.lake.current import current_folder, current_months, make_current
from nyc_taxi.lake.versions import describe_files, read_month, write_manifest
from nyc_taxi.lake.workspace import KEEP_SECONDS, Workspace
from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.references import MonthFiles
from tests.support.builders import month_files

APRIL = Month(2020, 4)


def version(workspace: Path, name: str, trips: int, month: str = "2020-04", url: str = "") -> MonthFiles:
    """A complete version of a month in the workspace."""
    files = month_files(workspace / "built", name, month, trips)
    folder = Workspace(workspace).version_folder(files.service, files.month, name)
    folder.parent.mkdir(parents=True, exist_ok=True)
    files.folder.rename(folder)
    source = dataclasses.replace(files.source, url=url or files.source.url)
    files = dataclasses.replace(files, local=folder, source=source, objects=describe_files(folder))
    write_manifest(files, folder)
    return files


def test_the_version_that_was_made_current_last_is_current(tmp_path: Path) -> None:
    first, second = version(tmp_path, "v1", 20), version(tmp_path, "v2", 30)
    assert current_folder(tmp_path, Service.GREEN, APRIL) is None
    for files in (first, second, first):  # a correction may be taken back
        make_current(files, tmp_path)
        folder = current_folder(tmp_path, Service.GREEN, APRIL)
        assert folder == files.folder
        assert read_month(folder) == files
    assert list(current_months(tmp_path)) == [(Service.GREEN, APRIL)]


def count_with_duckdb(root: Path) -> int:
    source = f"read_parquet('{root}/*/*/*.parquet', hive_partitioning=true)"
    rows, months = duckdb.sql(f"SELECT count(*), count(DISTINCT month) FROM {source}").fetchall()[0]
    assert months == 2
    return int(rows)


def count_with_pandas(root: Path) -> int:
    frame = pd.read_parquet(root)
    assert set(frame["month"]) == {"2020-04", "2020-05"}
    return len(frame)


def count_with_polars(root: Path) -> int:
    frame = pl.scan_parquet(root, hive_partitioning=True).select("month", "source_row").collect()
    assert frame["month"].n_unique() == 2
    return frame.height


@pytest.mark.parametrize("count", [count_with_duckdb, count_with_pandas, count_with_polars])
def test_engines_read_it_without_superseded_and_generated_months(tmp_path: Path, count) -> None:
    for files in (
        version(tmp_path, "v1", 20),
        version(tmp_path, "v2", 30),
        version(tmp_path, "v3", 5, "2020-05"),
        version(tmp_path, "v4", 7, "2020-06", url="sample::1"),
    ):
        make_current(files, tmp_path)
    assert count(tmp_path / "current" / "trips") == 35


def test_a_real_month_replaces_a_generated_one_and_not_the_other_way_round(tmp_path: Path) -> None:
    sample, real = version(tmp_path, "v1", 20, url="sample::1"), version(tmp_path, "v2", 30)
    make_current(sample, tmp_path)
    assert current_folder(tmp_path, Service.GREEN, APRIL) is None
    assert current_folder(tmp_path, Service.GREEN, APRIL, generated=True) == sample.folder
    make_current(real, tmp_path)
    assert current_folder(tmp_path, Service.GREEN, APRIL) == real.folder
    assert current_folder(tmp_path, Service.GREEN, APRIL, generated=True) is None
    make_current(sample, tmp_path)
    assert current_folder(tmp_path, Service.GREEN, APRIL) == real.folder


def test_a_workspace_may_be_moved(tmp_path: Path) -> None:
    make_current(version(tmp_path / "here", "v1", 20), tmp_path / "here")
    (tmp_path / "here").rename(tmp_path / "elsewhere")
    folder = current_folder(tmp_path / "elsewhere", Service.GREEN, APRIL)
    assert folder is not None
    assert (folder / "trips.parquet").exists()


def test_the_current_version_is_never_pruned(tmp_path: Path) -> None:
    current, superseded = version(tmp_path, "v1", 20), version(tmp_path, "v2", 30)
    make_current(superseded, tmp_path)
    make_current(current, tmp_path)
    long_ago = time.time() - 2 * KEEP_SECONDS
    for files in (current, superseded):
        os.utime(files.folder, (long_ago, long_ago))
    Workspace(tmp_path).prune(Service.GREEN, APRIL, keep="v3")
    assert current.folder.exists()
    assert not superseded.folder.exists()


def test_a_superseded_version_is_kept_for_a_day_from_then_on(tmp_path: Path) -> None:
    first, second = version(tmp_path, "v1", 20), version(tmp_path, "v2", 30)
    make_current(first, tmp_path)
    long_ago = time.time() - 3 * KEEP_SECONDS
    for files in (first, second):
        os.utime(files.folder, (long_ago, long_ago))
    make_current(second, tmp_path)
    Workspace(tmp_path).prune(Service.GREEN, APRIL, keep="v2")
    assert first.folder.exists(), "somebody may be reading it"
    os.utime(first.folder, (long_ago, long_ago))
    Workspace(tmp_path).prune(Service.GREEN, APRIL, keep="v2")
    assert not first.folder.exists()
