"""What BigQuery loads from where, and when again, without a BigQuery."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from google.api_core.exceptions import BadRequest, Forbidden, NotFound
from google.cloud import bigquery

from nyc_taxi.errors import DestinationError
from nyc_taxi.lake.object_store.gcs.config import GcsConfig
from nyc_taxi.load.warehouse.bigquery import staging
from nyc_taxi.load.warehouse.bigquery.bucket import in_bucket
from nyc_taxi.load.warehouse.bigquery.client import Connection
from nyc_taxi.load.warehouse.bigquery.config import BigQueryConfig
from nyc_taxi.model.run import Run
from nyc_taxi.transform.refined import RefinedMonth
from tests.support.builders import month_files
from tests.support.clouds import gcs_cloud

RUN = Run("run-1", "cli")


class FinishedJobs:
    """A client of a project in which the first job of every name has ended well."""

    project = "project"

    def __init__(self, rows: dict[str, int]) -> None:
        self._rows = rows
        """Rows of the staging tables that are there, by kind."""
        self.started: list[str] = []

    def get_job(self, job_id: str, **_: Any) -> Any:
        if job_id.endswith("-1"):
            return SimpleNamespace(job_id=job_id, state="DONE", error_result=None)
        raise NotFound(job_id)

    def create_table(self, table: bigquery.Table, **_: Any) -> Any:
        return SimpleNamespace(num_rows=self._rows.get(table.table_id.split("_")[1], 0))

    def load_table_from_file(self, _file: Any, _table: str, *, job_id: str, **_: Any) -> Any:
        self.started.append(job_id)
        return SimpleNamespace(job_id=job_id, state="DONE", error_result=None)


class RefusesUris(FinishedJobs):
    """A client of a project whose load jobs from a bucket fail for the given reason."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__({})
        self._error = {"reason": reason, "message": message}

    def get_job(self, job_id: str, **_: Any) -> Any:
        raise NotFound(job_id)

    def load_table_from_uri(self, _uri: str, _table: str, *, job_id: str, **_: Any) -> Any:
        self.started.append(job_id)
        return SimpleNamespace(job_id=job_id, state="DONE", error_result=self._error)


class RefusesUrisAtOnce(RefusesUris):
    """The same, where the request for the job is refused."""

    def load_table_from_uri(self, _uri: str, _table: str, *, job_id: str, **_: Any) -> Any:
        self.started.append(job_id)
        kind = Forbidden if self._error["reason"] == "accessDenied" else BadRequest
        raise kind(self._error["message"], errors=[self._error])


@pytest.fixture
def no_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are uploaded, into tables that have all their columns."""
    monkeypatch.setattr(staging, "in_bucket", lambda _files, _config: None)
    monkeypatch.setattr(staging, "add_missing", lambda *_: None)


@pytest.mark.parametrize(
    ("rows", "loaded_again"),
    [
        ({"trips": 20, "quarantine": 3, "quality": 1}, []),
        ({"trips": 20, "quality": 1}, ["quarantine"]),  # its table was dropped, or has expired
        ({}, ["trips", "quarantine", "quality"]),
    ],
)
def test_a_staging_table_that_is_gone_is_loaded_again(
    no_bucket: None, tmp_path: Path, rows: dict[str, int], loaded_again: list[str]
):
    client = FinishedJobs(rows)
    connection = Connection(client, BigQueryConfig("taxi", "project", endpoint="http://127.0.0.1:1"), "US")
    staging.stage(connection, month_files(tmp_path), RUN)
    prefix = "nyc_taxi-taxi-green-2020-04-v1-load"
    assert client.started == [f"{prefix}-{kind}-file-2" for kind in loaded_again]


def test_only_the_same_version_is_read_from_the_bucket(tmp_path: Path):
    first, second = month_files(tmp_path, "v1"), month_files(tmp_path, "v2")
    with gcs_cloud() as cloud:
        config = BigQueryConfig("taxi", endpoint=cloud.url, bucket=GcsConfig("taxi", endpoint=cloud.url))
        assert in_bucket(first, config) is None
        cloud.destination().replace_month(RefinedMonth.of(first), RUN)
        month = in_bucket(first, config)
        assert month is not None
        assert month.row.version == "v1"
        assert in_bucket(second, config) is None
        again = in_bucket(first, config)
        assert again is not None
        assert again.identity == month.identity  # names the load jobs
        cloud.destination().delete_month(first.service, first.month, RUN)
        cloud.destination().replace_month(RefinedMonth.of(first), RUN)
        reloaded = in_bucket(first, config)
        assert reloaded is not None
        assert reloaded.uris == month.uris
        assert reloaded.identity != month.identity


@pytest.mark.parametrize("client_type", [RefusesUris, RefusesUrisAtOnce])
@pytest.mark.parametrize(
    ("reason", "message", "remedy"),
    [
        (
            "accessDenied",
            "Access Denied: Bucket taxi: Permission storage.buckets.get denied on resource",
            "roles/storage.legacyBucketReader (for storage.buckets.get) on the bucket",
        ),
        (
            "invalid",
            "Cannot read and write in different locations: source: EU, destination: US",
            "use a bucket in the dataset's location, US",
        ),
    ],
)
def test_a_month_that_bigquery_may_not_read_from_the_bucket_is_uploaded(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    client_type: type[RefusesUris],
    reason: str,
    message: str,
    remedy: str,
):
    monkeypatch.setattr(staging, "add_missing", lambda *_: None)
    files = month_files(tmp_path)
    with gcs_cloud() as cloud:
        cloud.destination().replace_month(RefinedMonth.of(files), RUN)
        bucket = GcsConfig("taxi", endpoint=cloud.url)
        config = BigQueryConfig("taxi", "project", endpoint=cloud.url, bucket=bucket)
        client = client_type(reason, message)
        staged = staging.stage(Connection(client, config, "US"), files, RUN)
    assert [item.uri for item in staged] == [None] * 3
    prefix = "nyc_taxi-taxi-green-2020-04-v1-load"
    assert client.started[-3:] == [f"{prefix}-{kind}-file-1" for kind in ("trips", "quarantine", "quality")]
    [warning] = [record.getMessage() for record in caplog.records]
    assert "BigQuery cannot load gs://taxi/trips/service=green/month=2020-04/trips.parquet" in warning
    assert message in warning
    assert remedy in warning


def test_another_error_of_a_load_from_the_bucket_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(staging, "add_missing", lambda *_: None)
    files = month_files(tmp_path)
    with gcs_cloud() as cloud:
        cloud.destination().replace_month(RefinedMonth.of(files), RUN)
        bucket = GcsConfig("taxi", endpoint=cloud.url)
        config = BigQueryConfig("taxi", "project", endpoint=cloud.url, bucket=bucket)
        client = RefusesUris("invalid", "Error while reading data")
        with pytest.raises(DestinationError, match="Error while reading data"):
            staging.stage(Connection(client, config, "US"), files, RUN)
    assert not [name for name in client.started if "-file-" in name]
