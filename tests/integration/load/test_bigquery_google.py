"""What only Google's own service shows (see tests/support/bigquery.py for how to run it)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nyc_taxi.model.run import Run
from nyc_taxi.transform.refined import RefinedMonth
from tests.support.bigquery import Dataset
from tests.support.builders import month_files

pytestmark = pytest.mark.skipif(
    "TAXI_TEST_GCP_PROJECT" not in os.environ, reason="TAXI_TEST_GCP_PROJECT is not set"
)

RUN = Run("run-1", "cli")


def test_a_month_is_a_partition_and_a_query_on_it_reads_no_other(bigquery: Dataset, tmp_path: Path):
    from google.cloud.bigquery import QueryJobConfig

    small, large = bigquery.month(), bigquery.month()
    for month, trips in ((small, 10), (large, 1000)):
        bigquery.destination().replace_month(
            RefinedMonth.of(month_files(tmp_path, month=month, trips=trips)), RUN
        )
    partitions = bigquery.ask(
        "SELECT partition_id, total_rows FROM INFORMATION_SCHEMA.PARTITIONS WHERE table_name = 'trips_green'"
    )
    assert {(small.replace("-", ""), 10), (large.replace("-", ""), 1000)} <= set(partitions)

    table = bigquery.connection.qualified("trips_green")
    sql = f"SELECT source_version FROM {table} WHERE month = '{small}-01'"
    job = bigquery.connection.client.query(
        sql, job_config=QueryJobConfig(dry_run=True, use_query_cache=False)
    )
    assert 0 < job.total_bytes_processed < 1000


def test_reading_the_views_costs_something(bigquery: Dataset, tmp_path: Path):
    month = bigquery.month()
    bigquery.destination().replace_month(RefinedMonth.of(month_files(tmp_path, month=month)), RUN)
    assert all(cost > 0 for cost in bigquery.destination().dry_run_cost().values())


def test_staging_tables_expire(bigquery: Dataset, tmp_path: Path):
    from nyc_taxi.load.warehouse.bigquery.staging import KEPT, stage

    staged = stage(bigquery.connection, month_files(tmp_path, month=bigquery.month()), RUN)
    for item in staged:
        table = bigquery.connection.client.get_table(bigquery.connection.name(item.name))
        assert table.expires is not None
        assert table.expires - table.created <= KEPT
