"""One GCS server for all tests of this folder; each test has its own database and folder in the bucket."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nyc_taxi.local import gcs
from tests.support.bikeshare import Stack
from tests.support.mariadb import MariaDb


@pytest.fixture
def nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty workspace, and nothing configured."""
    ours = ("TAXI_", "MYSQL_", "GCS_", "BIGQUERY_", "BIKESHARE_", "DUCKDB_", "STORAGE_")
    for name in os.environ:
        if name.startswith(ours) and name != "TAXI_REAL_DATA":
            monkeypatch.delenv(name)
    monkeypatch.setenv("TAXI_WORKSPACE", str(tmp_path / "workspace"))
    return tmp_path / "workspace"


@pytest.fixture
def stack(nothing: Path, gcs_server: gcs.Server, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """A database file, a folder in the bucket and a warehouse, all empty, which the environment leads to."""
    return Stack(gcs_server, nothing).enter(monkeypatch)


@pytest.fixture
def on_mariadb(
    nothing: Path,
    gcs_server: gcs.Server,
    mariadb: MariaDb,
    monkeypatch: pytest.MonkeyPatch,
) -> Stack:
    """A bikeshare whose stations are in a database of a real server."""
    return Stack(gcs_server, nothing, mariadb).enter(monkeypatch)


@pytest.fixture(params=["stack", "on_mariadb"], ids=["sqlite", "mariadb"])
def either(request: pytest.FixtureRequest) -> Stack:
    """A bikeshare of each kind of database."""
    database: Stack = request.getfixturevalue(request.param)
    return database
