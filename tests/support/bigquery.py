"""BigQuery for tests: the emulator, or Google's service if the environment names a project.

The emulator has its own environment and reads gs:// URIs from an embedded GCS emulator. With
TAXI_TEST_GCP_PROJECT the same tests use application default credentials and a temporary dataset in that
project (in the location TAXI_TEST_BIGQUERY_LOCATION, by default US); tests that read from a bucket use
TAXI_TEST_GCS_BUCKET.
"""

from __future__ import annotations

import datetime as dt
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
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery as bigquery_api

from nyc_taxi.load.warehouse.bigquery.client import Connection, connect
from nyc_taxi.load.warehouse.bigquery.config import BigQueryConfig
from nyc_taxi.load.warehouse.bigquery.load import BigQuery
from nyc_taxi.local import gcs as embedded_gcs
from nyc_taxi.model.months import Month
from nyc_taxi.settings import PROJECT

ENVIRONMENT = PROJECT / ".venv-bigquery"
NO_PYTHON = 3
"""Exit code of requirements/bigquery-emulator.sh without Python 3.13."""

SECONDS_TO_START = 120
_STARTED = dt.datetime.now(dt.UTC)
_months = itertools.count()


@dataclass(frozen=True)
class Place:
    """A BigQuery service for test datasets."""

    project: str
    endpoint: str
    """URL of the emulator; empty for Google."""
    bucket: dict[str, str]
    """Variables that select a bucket for the GCS destination that BigQuery can read."""


@dataclass(frozen=True)
class Dataset:
    """A dataset, accessed without the code under test."""

    target: BigQueryConfig
    connection: Connection
    bucket: dict[str, str]

    def destination(self) -> BigQuery:
        """Open the destination as a new process would."""
        return BigQuery(self.target)

    def month(self) -> str:
        """Return a month that no other test loads."""
        return str(Month(2100, 1) + next(_months))

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query with unqualified table names."""
        config = bigquery_api.QueryJobConfig(default_dataset=self.connection.name("x").rpartition(".")[0])
        return [tuple(row.values()) for row in self.connection.client.query_and_wait(sql, job_config=config)]

    def month_state(self, month: str, service: str = "green") -> dict[str, list[str]]:
        """Return every row of a month in every table."""
        where = f"month = '{month}-01'"
        selects = {name: f"{name}_{service} WHERE {where}" for name in ("trips", "quarantine")}
        selects |= {name: f"{name} WHERE service = '{service}' AND {where}" for name in ("quality", "ledger")}
        return {name: sorted(map(repr, self.ask(f"SELECT * FROM {text}"))) for name, text in selects.items()}

    def jobs(self, month: str) -> list[Any]:
        """Return the jobs that loaded a month, oldest first."""
        listed = self.connection.client.list_jobs(min_creation_time=_STARTED)
        mine = re.compile(rf".*-{self.target.dataset}-.*-{month}-")
        return sorted((job for job in listed if mine.match(job.job_id)), key=lambda job: job.created)

    def job_ids(self, month: str) -> set[str]:
        """Return their ids, which contain step, source and attempt."""
        return {re.sub(rf".*-{month}-[^-]*-", "", job.job_id) for job in self.jobs(month)}

    def tables(self) -> set[str]:
        """Return the names of all tables and views."""
        return {table.table_id for table in self.connection.client.list_tables(self.target.dataset)}


IN_TRANSACTIONS = {"SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "TRUNCATE", "IF", "END"}
"""Words that a statement of a transaction may begin with: queries, DML and control flow."""


def unsupported(script: str) -> list[str]:
    """Return the statements of a script's transaction that BigQuery may refuse there."""
    transaction = script.split("BEGIN TRANSACTION;")[1].split("COMMIT TRANSACTION;")[0]
    text = re.sub(r"--.*|'[^']*'", "", transaction)
    text = re.sub(r"\bTHEN\b", "THEN;", text)  # what an IF runs is a statement, too
    statements = filter(None, map(str.strip, text.split(";")))
    return [statement for statement in statements if statement.split()[0].upper() not in IN_TRANSACTIONS]


@contextmanager
def emulator() -> Iterator[Place]:
    """Yield Google's service if configured, else the emulator; skips tests without Python 3.13."""
    if project := os.environ.get("TAXI_TEST_GCP_PROJECT"):
        bucket = os.environ.get("TAXI_TEST_GCS_BUCKET")
        prefix = f"test-{uuid.uuid4().hex[:12]}"
        yield Place(project, "", {"GCS_BUCKET": bucket, "GCS_PREFIX": prefix} if bucket else {})
        return
    _install()
    with tempfile.TemporaryDirectory(prefix="nyc-taxi-") as name:
        folder = Path(name)
        server = embedded_gcs.ensure(folder / "gcs")
        try:
            with _started(folder, server) as url:
                yield Place("local", url, server.environment())
        finally:
            embedded_gcs.stop(folder / "gcs")


def _install() -> None:
    with (PROJECT / "requirements" / "bigquery-emulator.sh").open() as script:
        fcntl.flock(script, fcntl.LOCK_EX)  # test runs may share the checkout
        done = subprocess.run(["sh", script.name], capture_output=True, text=True, check=False)
    if done.returncode == NO_PYTHON:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr


@contextmanager
def _started(folder: Path, server: embedded_gcs.Server) -> Iterator[str]:
    command: list[str | Path] = [
        ENVIRONMENT / "bin" / "local-bigquery",
        "--host",
        "127.0.0.1",
        "--port",
        "0",
        "--grpc-port",
        "0",
    ]
    # HOME contains DuckDB's extensions; requests to the GCS server must bypass proxies
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
        while not (match := re.search(r"running on (http://127\.0\.0\.1:\d+)", (folder / "log").read_text())):
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, f"no answer in {SECONDS_TO_START} s"
            time.sleep(0.05)
        yield match[1]
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def dataset(place: Place, **options: Any) -> Iterator[Dataset]:
    """An empty dataset."""
    target = BigQueryConfig(
        f"test_{uuid.uuid4().hex[:12]}", place.project, endpoint=place.endpoint, **options
    )
    client = _client(target)
    created = bigquery_api.Dataset(f"{place.project}.{target.dataset}")
    created.location = os.environ.get("TAXI_TEST_BIGQUERY_LOCATION", "US")
    client.create_dataset(created)
    try:
        yield Dataset(target, connect(target), place.bucket)
    finally:
        if not place.endpoint:
            client.delete_dataset(created, delete_contents=True, not_found_ok=True)


def _client(target: BigQueryConfig) -> bigquery_api.Client:
    if not target.endpoint:
        return bigquery_api.Client(target.project)
    options = {"api_endpoint": target.endpoint}
    return bigquery_api.Client(target.project, AnonymousCredentials(), client_options=options)


def lead_to(created: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """Configure a dataset, and no bucket, in the environment."""
    target = created.target
    monkeypatch.setenv("BIGQUERY_DATASET", target.dataset)
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", target.project)
    monkeypatch.setenv("GCS_BUCKET", "")
    if target.endpoint:
        monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", target.endpoint)
