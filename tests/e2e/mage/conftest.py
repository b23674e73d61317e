"""One Mage in this process, one embedded PostgreSQL for this folder, a workspace for each file of tests."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from nyc_taxi.local import gcs, postgres
from nyc_taxi.settings import PROJECT
from tests.support.postgres_probe import create_database

# Mage reads these when it is imported, which tests do inside: its start takes seconds.
MAGE_PROJECT = PROJECT / "mage_project"


@pytest.fixture(scope="session")
def place() -> Iterator[Path]:
    """Where everything that these tests make lies; every account may enter, as the embedded server's must."""
    folder = Path(tempfile.mkdtemp(prefix="nyc-taxi-mage-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def mage_postgres(place: Path) -> Iterator[postgres.Server]:
    yield postgres.ensure(place / "postgres")
    postgres.stop(place / "postgres")


@pytest.fixture(scope="module")
def environment(
    place: Path, mage_postgres: postgres.Server, request: pytest.FixtureRequest
) -> Iterator[dict[str, str]]:
    """For a run of its own: the workspace and the database are those of the file of tests."""
    name = request.module.__name__.rpartition(".")[2]
    create_database(mage_postgres, name)
    workspace = place / name
    yield {
        "TAXI_WORKSPACE": str(workspace),
        "MAGE_DATA_DIR": str(place / "mage_data"),
        "MAGE_REPO_PATH": str(MAGE_PROJECT),
        **mage_postgres.environment(),
        "POSTGRES_DBNAME": name,
    }
    gcs.stop(workspace / "gcs")  # which the first month that is loaded starts


@pytest.fixture
def here(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for code that runs in this process."""
    for name in [name for name in os.environ if name.startswith(("TAXI_", "POSTGRES_"))]:
        if name != "TAXI_REAL_DATA":
            monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def mage_database(here: None) -> Iterator[None]:
    """A session with Mage's database, whose tables exist."""
    from mage_ai.orchestration.db import db_connection
    from mage_ai.orchestration.db.database_manager import database_manager

    database_manager.run_migrations()
    db_connection.start_session(force=True)
    yield
    db_connection.close_session()
