"""A month through Airflow into BigQuery, by way of the bucket, and into S3, where Airflow's settings lead."""

from __future__ import annotations

import json

import pytest

from tests.support import google_apis
from tests.support.clouds import s3_cloud


@pytest.fixture
def s3():
    with s3_cloud() as cloud:
        yield cloud


def test_a_month_is_in_bigquery_and_in_s3(run_dag, place, s3, shared_dataset):
    month = "2013-12"  # past, as a download must be, and no other test's
    target, bucket = shared_dataset.target, shared_dataset.bucket
    variable = {
        "GCS_BUCKET": bucket["GCS_BUCKET"],
        "S3_BUCKET": s3.bucket,
        "BIGQUERY_DATASET": target.dataset,
        "GOOGLE_CLOUD_PROJECT": target.project,
    }
    keys = {"conn_type": "aws", "login": "key", "password": "secret", "extra": {"endpoint_url": s3.url}}
    conf = {"service": "green", "month": month, "source": "sample:150:1", "destinations": "gcs,bigquery,s3"}
    run_dag(
        "taxi_ingest",
        json.dumps(conf),
        **bucket,
        BIGQUERY_EMULATOR_HOST=target.endpoint,
        AIRFLOW_VAR_TAXI=json.dumps(variable),
        AIRFLOW_CONN_TAXI_S3=json.dumps(keys),
    )
    counts = {name: len(rows) for name, rows in shared_dataset.month_state(month).items()}
    assert counts["ledger"] == 1
    assert counts["trips"] + counts["quarantine"] == 150
    assert shared_dataset.ask(f"SELECT orchestrator FROM ledger WHERE month = '{month}-01'") == [("airflow",)]
    loads = [job for job in shared_dataset.jobs(month) if job.job_type == "load"]
    assert all(uri.startswith("gs://") for job in loads for uri in job.source_uris or [""]), (
        "not by the bucket"
    )
    [parquet] = (place / "workspace" / "lake" / "versions" / "service=green" / f"month={month}").rglob(
        "trips.parquet"
    )
    assert s3.objects()[f"trips/service=green/month={month}/trips.parquet"][0] == parquet.read_bytes()


def test_a_view_over_external_tables(run_dag, shared_dataset):
    """The emulator accepts external tables but cannot read them: views stand for them."""
    target, bucket = shared_dataset.target, shared_dataset.bucket
    variable = {**bucket, "BIGQUERY_DATASET": target.dataset, "GOOGLE_CLOUD_PROJECT": target.project}
    settings = {
        "AIRFLOW_VAR_TAXI": json.dumps({name: variable[name] for name in variable if "EMULATOR" not in name}),
        "AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT": google_apis.CONNECTION,
        "BIGQUERY_EMULATOR_HOST": target.endpoint,
        **bucket,
    }
    for name in ("trips", "quarantine"):
        shared_dataset.ask(
            f"CREATE OR REPLACE VIEW lake_{name}_green AS"
            f" SELECT * REPLACE (FORMAT_DATE('%Y-%m', month) AS month) FROM {name}_green"
        )
    for _ in range(2):
        run_dag("lake_external_tables", json.dumps({"services": "green"}), **settings)
    assert "elt_trips_green" in shared_dataset.tables()
    log = run_dag("lake_external_tables", json.dumps({"services": "fhv"}), good=False, **settings)
    assert "services 'fhv': the views know the rules of yellow, green alone." in log
