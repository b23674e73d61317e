"""Airflow's Variable and connections as the package's settings."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from dotenv import dotenv_values

from nyc_taxi.settings import PROJECT

CODE = """
import json, os
from taxi_airflow.environment import configure_environment
configure_environment()
print(json.dumps({**os.environ}))
"""

CONNECTIONS = {
    "AIRFLOW_CONN_TAXI_POSTGRES": {
        "conn_type": "postgres",
        "host": "db.example.com",
        "login": "taxi_loader",
        "password": "s@cret/",
        "extra": {"sslmode": "verify-full"},
    },
    "AIRFLOW_CONN_TAXI_S3": {
        "conn_type": "aws",
        "login": "key",
        "password": "secret",
        "extra": {"endpoint_url": "http://127.0.0.1:9"},
    },
}


def environment_after_set_up(airflow_environment, **more):
    environment = {**airflow_environment, **more}
    for name, connection in CONNECTIONS.items():
        environment[name] = json.dumps(connection)
    done = subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_variable_and_connections_win_over_the_environment(airflow_environment):
    variable = json.dumps({"GCS_BUCKET": "trips", "TAXI_RETRIES": 7})
    variables = environment_after_set_up(
        airflow_environment, AIRFLOW_VAR_TAXI=variable, POSTGRES_HOST="other", GCS_BUCKET="other"
    )
    assert (variables["GCS_BUCKET"], variables["TAXI_RETRIES"]) == ("trips", "7")
    assert (variables["POSTGRES_HOST"], variables["POSTGRES_PASSWORD"]) == ("db.example.com", "s@cret/")
    assert variables["POSTGRES_SSLMODE"] == "verify-full"
    assert "POSTGRES_PORT" not in variables  # the connection says nothing of it
    assert (variables["AWS_ACCESS_KEY_ID"], variables["AWS_ENDPOINT"]) == ("key", "http://127.0.0.1:9")


@pytest.mark.parametrize(
    "name",
    [
        *(
            "TAXI_TRANSFORM",
            "taxi_transform",
            "TAXI_RULES",
            "TAXI_IO_CONFIG",
            "TAXI_BIKESHARE_TABLES",
            "PG_BIN",
        ),
        *("PG_BIN", "PYTHONPATH", "LD_PRELOAD", "PATH", "HOME", "AWS_CONFIG_FILE"),
    ],
)
def test_the_variable_names_no_code(airflow_environment, name):
    environment = {**airflow_environment, "AIRFLOW_VAR_TAXI": json.dumps({name: "/tmp/other"})}
    done = subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert f"SettingsError: Airflow's Variable taxi sets {name}: it may set connections" in done.stderr


def test_composers_own_bucket_is_not_the_trips(airflow_environment):
    own = {"AIRFLOW_VAR_TAXI": "{}", "GCS_BUCKET": "us-central1-env-bucket"}
    assert environment_after_set_up(airflow_environment, **own)["GCS_BUCKET"] == "us-central1-env-bucket"
    on_composer = environment_after_set_up(airflow_environment, **own, COMPOSER_ENVIRONMENT="env")
    assert "GCS_BUCKET" not in on_composer


@pytest.mark.parametrize(
    ("executor", "settings", "lake"),
    [
        ("LocalExecutor", {"GCS_BUCKET": "trips"}, None),
        ("CeleryExecutor", {"GCS_BUCKET": "trips", "S3_BUCKET": "trips"}, "gcs"),
        ("CeleryExecutor", {"S3_BUCKET": "trips"}, "s3"),
        ("CeleryExecutor", {}, None),
        ("CeleryExecutor", {"GCS_BUCKET": "trips", "TAXI_LAKE": "local"}, "local"),
    ],
)
def test_workers_on_several_machines_share_the_bucket(airflow_environment, executor, settings, lake):
    options = {"AIRFLOW__CORE__EXECUTOR": executor, "AIRFLOW_VAR_TAXI": json.dumps(settings)}
    assert environment_after_set_up(airflow_environment, **options).get("TAXI_LAKE") == lake


def test_on_composer_nothing_is_written_below_the_mounted_bucket():
    settings = dotenv_values(PROJECT / "airflow_project" / "composer.env")
    assert settings["TAXI_LAKE"] == "gcs"
    workspace = settings["TAXI_WORKSPACE"]
    assert workspace.startswith("/")
    assert not workspace.startswith("/home/airflow")
