"""One MySQL and one GCS server for all tests of this folder; each test has its own database and folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from nyc_taxi.local import gcs, mysql
from nyc_taxi.settings import settings
from tests.support.bigquery import bigquery, emulator, shared_dataset  # noqa: F401
from tests.support.bikeshare import World


@pytest.fixture(scope="session")
def mysql_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[mysql.Server]:
    folder = tmp_path_factory.mktemp("mysql")
    yield mysql.ensure(folder)
    mysql.stop(folder)


@pytest.fixture(scope="session")
def gcs_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[gcs.Server]:
    folder = tmp_path_factory.mktemp("gcs")
    yield gcs.ensure(folder)
    gcs.stop(folder)


@pytest.fixture
def nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty workspace, and nothing configured."""
    ours = ("TAXI_", "MYSQL_", "GCS_", "BIGQUERY_", "BIKESHARE_", "DUCKDB_", "STORAGE_")
    for name in os.environ:
        if name.startswith(ours) and name != "TAXI_REAL_DATA":
            monkeypatch.delenv(name)
    monkeypatch.setenv("TAXI_WORKSPACE", str(tmp_path / "workspace"))
    settings.cache_clear()
    yield tmp_path / "workspace"
    settings.cache_clear()


@pytest.fixture
def world(
    nothing: Path,
    mysql_server: mysql.Server,
    gcs_server: gcs.Server,
    monkeypatch: pytest.MonkeyPatch,
) -> World:
    """A database, a folder in the bucket and a warehouse, all empty, which the environment leads to."""
    made = World(mysql_server, gcs_server, nothing)
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    return made
