"""Servers, databases and emulators that tests of any folder may use; imported when a test asks for one."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

from nyc_taxi.load.postgres.config import PostgresConfig
from nyc_taxi.local import gcs
from nyc_taxi.local import postgres as embedded
from tests.support.postgres_probe import create_database, drop_database

if TYPE_CHECKING:
    from tests.support.bigquery import Dataset, Place
    from tests.support.mariadb import MariaDb
    from tests.support.servers import FaultyServer

hypothesis.settings.register_profile("fixed", derandomize=True, deadline=None, max_examples=60, database=None)
hypothesis.settings.register_profile("search", deadline=None, max_examples=2000, database=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests against the BigQuery emulator are slow: each of its answers takes a tenth of a second."""
    for item in items:
        if "emulator" in getattr(item, "fixturenames", ()):
            item.add_marker("slow")


@pytest.fixture
def real_data() -> Path:
    """TLC's real files; a test that asks for them has the marker `real`."""
    if "TAXI_REAL_DATA" not in os.environ:
        pytest.skip("TAXI_REAL_DATA is not set")
    return Path(os.environ["TAXI_REAL_DATA"])


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty workspace of the test's own, which the settings name; the rules are the project's."""
    monkeypatch.setenv("TAXI_WORKSPACE", str(tmp_path / "workspace"))
    monkeypatch.setenv("TAXI_RULES", "mage_project/rules.yaml")
    return tmp_path / "workspace"


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every account may enter, which pytest's own are not: for servers that are not root."""
    folder = Path(tempfile.mkdtemp(prefix="nyc-taxi-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[embedded.Server]:
    """One embedded server for all tests."""
    folder = Path(tempfile.mkdtemp(prefix="nyc-taxi-"))
    folder.chmod(0o711)
    try:
        yield embedded.ensure(folder / "postgres")
    finally:
        embedded.stop(folder / "postgres")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres(postgres_server: embedded.Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[PostgresConfig]:
    """An empty database of the test's own; the environment's POSTGRES_* lead to it."""
    server = postgres_server
    dbname = f"test_{uuid.uuid4().hex[:12]}"
    create_database(server, dbname)
    for name, value in {**server.environment(), "POSTGRES_DBNAME": dbname}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("POSTGRES_SCHEMA", raising=False)
    yield PostgresConfig(server.host, server.port, dbname, server.user, server.password)
    drop_database(server, dbname)


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    """A web server of the test's own: a source of months."""
    from tests.support.servers import serve

    with serve() as running:
        yield running


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Three attempts with no wait between them; requests stay on the loopback."""
    from tests.support.servers import quick_retries

    with quick_retries(monkeypatch):
        yield


@pytest.fixture(scope="module")
def quick_module() -> Iterator[None]:
    """As `quick`, for all tests of a module."""
    from tests.support.servers import quick_retries

    with pytest.MonkeyPatch.context() as monkeypatch, quick_retries(monkeypatch):
        yield


@pytest.fixture(scope="session")
def gcs_server() -> Iterator[gcs.Server]:
    """One GCS emulator for all tests; each uses a prefix of its own."""
    from tests.support import clouds

    with clouds.gcs_server() as running:
        yield running


@pytest.fixture(scope="session")
def emulator() -> Iterator[Place]:
    """One BigQuery emulator for all tests, or Google's service."""
    from tests.support import bigquery as support

    with support.emulator() as place:
        yield place


@pytest.fixture(scope="session")
def shared_dataset(emulator: Place) -> Iterator[Dataset]:
    """One dataset for all tests, as creating its tables takes seconds; each test loads months of its own."""
    from tests.support.bigquery import dataset

    with dataset(emulator) as created:
        yield created


@pytest.fixture
def bigquery(shared_dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """The dataset; the environment leads to it, and to no bucket."""
    from tests.support.bigquery import lead_to

    lead_to(shared_dataset, monkeypatch)
    return shared_dataset


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDb]:
    """One MariaDB for all tests of this process."""
    from tests.support import mariadb as support

    with support.mariadb() as running:
        yield running
