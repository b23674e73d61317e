"""What BigQuery loads from where, and when again, without a BigQuery."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from google.api_core.exceptions import NotFound
from google.cloud import bigquery

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
