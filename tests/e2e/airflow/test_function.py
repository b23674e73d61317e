"""The Cloud Function, served as Google serves it, before a real Airflow."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from contextlib import contextmanager

import httpx
import pytest
from pytest_httpserver import HTTPServer

from nyc_taxi.load.registry import open_destination
from nyc_taxi.local import gcs
from nyc_taxi.local.process import free_port
from nyc_taxi.local.samples import write
from nyc_taxi.model.months import Month, Service
from nyc_taxi.settings import PROJECT, load_settings
from tests.support import google_apis
from tests.support.waiting import until

SOURCE = PROJECT / "airflow_project" / "cloud_function" / "main.py"


@contextmanager
def served(**environment):
    """The function behind HTTP; `send(object)` delivers an event about it, and gives the status."""
    port = free_port()
    command = [
        *(sys.executable, "-m", "functions_framework", "--target", "new_object", "--source", str(SOURCE)),
        *("--signature-type", "cloudevent", "--host", "127.0.0.1", "--port", str(port)),
    ]
    process = subprocess.Popen(
        command,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )

    def answers():
        try:
            return httpx.get(f"http://127.0.0.1:{port}/")
        except httpx.TransportError:
            return None

    def send(thing):
        headers = {
            "ce-id": uuid.uuid4().hex,
            "ce-source": "//storage.googleapis.com/projects/_/buckets/taxi",
            "ce-specversion": "1.0",
            "ce-type": "google.cloud.storage.object.v1.finalized",
        }
        return httpx.post(f"http://127.0.0.1:{port}/", json=thing, headers=headers, timeout=120).status_code

    try:
        until(answers, seconds=60)
        yield send
    finally:
        process.terminate()
        process.wait()


def test_a_new_file_is_loaded_once_however_often_it_is_told(airflow, inside, tmp_path):
    path = tmp_path / "green_tripdata_2021-03.csv.gz"
    write(Service.GREEN, Month(2021, 3), path, 250, 1)
    storage = gcs.ensure(airflow.workspace / "gcs")
    thing = google_apis.put(storage.url, storage.bucket, f"inbox/{path.name}", path.read_bytes())
    run = f"taxi__green__2021-03__{thing['generation']}"
    with served(AIRFLOW_URL=airflow.url, AIRFLOW_USER="admin", AIRFLOW_PASSWORD=airflow.password) as send:
        assert send(thing) < 300
        assert send(thing) < 300  # the same event again
        assert send({**thing, "name": "inbox/readme.txt"}) < 300
        assert send({**thing, "name": f"raw/service=green/{path.name}", "generation": "1"}) < 300
    assert [name for name in airflow.runs("taxi_ingest") if "2021-03" in name] == [run]
    assert airflow.wait("taxi_ingest", run) == "success"
    inside(airflow.workspace)
    rows_in = {
        str(row.month): row.rows_in for row in open_destination("duckdb", load_settings()).ledger_entries()
    }
    assert rows_in["2021-03"] == 250


@pytest.mark.parametrize(
    ("status", "good"),
    [
        (503, False),  # has the event delivered again
        (429, False),
        (400, True),  # another try would be answered the same
    ],
)
def test_what_airflow_answers_decides_whether_the_event_comes_again(httpserver: HTTPServer, status, good):
    httpserver.expect_request("/auth/token").respond_with_json({"access_token": "t"})
    httpserver.expect_request("/api/v2/dags/taxi_ingest/dagRuns").respond_with_data("no", status=status)
    thing = {"bucket": "taxi", "name": "inbox/green_tripdata_2021-03.parquet", "generation": "7"}
    url = httpserver.url_for("").rstrip("/")
    with served(AIRFLOW_URL=url, AIRFLOW_USER="admin", AIRFLOW_PASSWORD="x") as send:
        assert (send(thing) < 300) is good
