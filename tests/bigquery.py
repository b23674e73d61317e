"""BigQuery for tests: the stand-in in an environment of its own, which reads from an embedded GCS server."""

from __future__ import annotations

import fcntl
import itertools
import os
import re
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nyc_taxi.destinations.bigquery import BigQuery
from nyc_taxi.destinations.bigquery.client import Connection, connect
from nyc_taxi.destinations.bigquery.target import Target
from nyc_taxi.months import Month
from nyc_taxi.settings import PROJECT, settings
from nyc_taxi.standins import gcs as embedded_gcs

ENVIRONMENT = PROJECT / ".venv-bigquery"
NO_PYTHON = 3
"""Exit code of requirements/bigquery-standin.sh where there is no Python 3.13."""

SECONDS_TO_START = 120
_months = itertools.count()


@dataclass(frozen=True)
class Emulator:
    """A running stand-in, and the GCS server that it reads gs:// addresses from."""

    url: str
    gcs: embedded_gcs.Server


@dataclass(frozen=True)
class Dataset:
    """A dataset, looked at past the code under test."""

    target: Target
    connection: Connection
    gcs: embedded_gcs.Server

    def destination(self) -> BigQuery:
        """The destination as a new process would open it."""
        return BigQuery(self.target)

    def month(self) -> str:
        """A month that no other test loads."""
        return str(Month(2100, 1) + next(_months))

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a query; names of tables stand alone."""
        from google.cloud.bigquery import QueryJobConfig

        config = QueryJobConfig(default_dataset=self.connection.name("x").rpartition(".")[0])
        return [tuple(row.values()) for row in self.connection.client.query_and_wait(sql, job_config=config)]

    def month_state(self, month: str, service: str = "green") -> dict[str, list[str]]:
        """Every row of a month in every table."""
        where = f"month = '{month}-01'"
        selects = {name: f"{name}_{service} WHERE {where}" for name in ("trips", "quarantine")}
        selects |= {name: f"{name} WHERE service = '{service}' AND {where}" for name in ("quality", "ledger")}
        return {name: sorted(map(repr, self.ask(f"SELECT * FROM {text}"))) for name, text in selects.items()}

    def jobs(self, month: str) -> list[Any]:
        """The jobs that loaded a month, the first first."""
        found = [job for job in self.connection.client.list_jobs() if f"-{month}-" in job.job_id]
        return sorted(found, key=lambda job: job.created)

    def job_ids(self, month: str) -> set[str]:
        """What their names say: step, source and attempt."""
        return {re.sub(rf".*-{month}-[^-]*-", "", job.job_id) for job in self.jobs(month)}

    def tables(self) -> set[str]:
        """Names of all tables and views."""
        return {table.table_id for table in self.connection.client.list_tables(self.target.dataset)}


@pytest.fixture(scope="session")
def emulator() -> Iterator[Emulator]:
    """One stand-in for all tests; they are skipped on a machine without Python 3.13."""
    _install()
    with tempfile.TemporaryDirectory(prefix="nyc-taxi-") as name:
        folder = Path(name)
        server = embedded_gcs.ensure(folder / "gcs")
        try:
            with _started(folder, server) as url:
                yield Emulator(url, server)
        finally:
            embedded_gcs.stop(folder / "gcs")


def _install() -> None:
    with (PROJECT / "requirements" / "bigquery-standin.sh").open() as script:
        fcntl.flock(script, fcntl.LOCK_EX)  # several test runs on one checkout
        done = subprocess.run(["sh", script.name], capture_output=True, text=True, check=False)
    if done.returncode == NO_PYTHON:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr


@contextmanager
def _started(folder: Path, server: embedded_gcs.Server) -> Iterator[str]:
    command = [
        ENVIRONMENT / "bin" / "local-bigquery",
        "--host",
        "127.0.0.1",
        "--port",
        "0",
        "--grpc-port",
        "0",
    ]
    # in HOME it finds DuckDB's extensions; a proxy must not stand between it and the GCS server
    environment = {"PATH": os.environ["PATH"], "HOME": str(ENVIRONMENT), "STORAGE_EMULATOR_HOST": server.url}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [*command, "--project", "local", "--data-dir", folder / "data"],
            stdout=log,
            stderr=log,
            env=environment,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + SECONDS_TO_START
        while not (found := re.search(r"running on (http://127\.0\.0\.1:\d+)", (folder / "log").read_text())):
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, f"no answer in {SECONDS_TO_START} s"
            time.sleep(0.05)
        yield found[1]
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def dataset(emulator: Emulator, **options: Any) -> Iterator[Dataset]:
    """An empty dataset."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    at_default = connect(Target("local", "local", endpoint=emulator.url))
    at_default.client.create_dataset(name)
    target = Target(name, "local", endpoint=emulator.url, **options)
    yield Dataset(target, connect(target), emulator.gcs)


@pytest.fixture(scope="session")
def shared_dataset(emulator: Emulator) -> Iterator[Dataset]:
    """One dataset for all tests: its tables take seconds to make. Tests load months of their own into it."""
    with dataset(emulator) as made:
        yield made


@pytest.fixture
def bigquery(shared_dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> Iterator[Dataset]:
    """The dataset; the environment leads to it, and to no bucket."""
    monkeypatch.setenv("BIGQUERY_DATASET", shared_dataset.target.dataset)
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", shared_dataset.target.endpoint)
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "local")
    monkeypatch.setenv("GCS_BUCKET", "")
    settings.cache_clear()
    yield shared_dataset
    settings.cache_clear()
