"""The profiles of io_config.yaml, through Mage's own loaders, exporters and SQL blocks."""

from __future__ import annotations

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import duckdb
import pandas as pd
import psycopg2
import pytest

from launchers.mage.environment import embedded_addresses
from nyc_taxi.load.postgres.config import PostgresConfig
from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.request import LoadRequest
from nyc_taxi.model.run import Run, RunContext
from nyc_taxi.pipelines.trips.run import run_month
from nyc_taxi.settings import PROJECT, Settings, load_settings

pytestmark = [pytest.mark.mage, pytest.mark.filterwarnings("ignore")]  # Mage warns of much

CONFIG = PROJECT / "mage_project" / "io_config.yaml"
ROWS = pd.DataFrame({"day": ["2020-04-01", "2020-04-02"], "trips": [3, 4], "miles": [1.5, 2.5]})


@pytest.fixture
def servers(here, environment, monkeypatch) -> Settings:
    """The environment that `make ui` gives to Mage, and a loaded month."""
    for name, value in embedded_addresses(load_settings(), print).items():
        monkeypatch.setenv(name, value)
    request = LoadRequest(Service.GREEN, Month(2020, 4), "sample:300:1", ("postgres", "duckdb"))
    run_month(request, RunContext(load_settings(), Run("test", "cli")))
    return load_settings()


def profile(name):
    from mage_ai.io.config import ConfigFileLoader

    return ConfigFileLoader(CONFIG, name)


def query_postgres(environment, sql):
    connection = psycopg2.connect(
        host=environment["POSTGRES_HOST"],
        port=environment["POSTGRES_PORT"],
        user=environment["POSTGRES_USER"],
        password=environment["POSTGRES_PASSWORD"],
        dbname=environment["POSTGRES_DBNAME"],
    )
    with contextlib.closing(connection), connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


def test_every_profile_is_the_pipelines_too(here, monkeypatch):
    for name, schema in (("default", "sandbox"), ("dev", "dev"), ("google", "sandbox")):
        monkeypatch.setenv("TAXI_PROFILE", name)
        assert PostgresConfig.from_settings(load_settings()).schema == "taxi"
        assert profile(name)["POSTGRES_SCHEMA"] == schema


@pytest.mark.parametrize("name", ["default", "dev"])
def test_postgres_templates_read_and_write(servers, environment, name):
    from mage_ai.io.postgres import Postgres

    config = profile(name)
    with Postgres.with_config(config) as loader:
        months = loader.load("SELECT month, count(*) AS trips FROM taxi.trips_green GROUP BY 1")
        assert len(months) == 1
        loader.export(ROWS, config["POSTGRES_SCHEMA"], f"days_{name}", index=False, if_exists="replace")
    schema = {"default": "sandbox", "dev": "dev"}[name]
    assert query_postgres(environment, f"SELECT sum(trips) FROM {schema}.days_{name}") == [(7,)]


def test_duckdb_templates_read_and_write_the_real_file(servers):
    from mage_ai.io.duckdb import DuckDB

    with DuckDB.with_config(profile("default")) as loader:
        count = loader.load("SELECT count(*) AS trips FROM taxi.trips_green")["trips"].iloc[0]
        loader.export(ROWS, "sandbox", "days", if_exists="replace")
    with duckdb.connect(servers.workspace / "warehouse.duckdb", read_only=True) as connection:
        assert connection.sql("SELECT sum(trips) FROM sandbox.days").fetchall() == [(7,)]
    assert count > 0


@pytest.mark.parametrize("name", ["default", "google"])
@pytest.mark.parametrize("empty", ["", None])
def test_gcs_templates_need_no_key_path(servers, monkeypatch, name, empty):
    from mage_ai.io.google_cloud_storage import GoogleCloudStorage

    monkeypatch.delenv("GOOGLE_SERVICE_ACC_KEY_FILEPATH", raising=False)
    if empty is not None:
        monkeypatch.setenv("GOOGLE_SERVICE_ACC_KEY_FILEPATH", empty)
    storage = GoogleCloudStorage.with_config(profile(name))
    storage.export(ROWS, "taxi", f"lab/{name}.parquet")
    pd.testing.assert_frame_equal(storage.load("taxi", f"lab/{name}.parquet"), ROWS)


def test_sql_blocks_write_into_the_sandbox(servers, environment):
    """Raw or not, on Postgres and on DuckDB."""
    from mage_ai.data_preparation.models.block.sql import execute_sql_code

    before = query_postgres(environment, "SELECT count(*) FROM taxi.trips_green")
    for provider in ("postgres", "duckdb"):
        for raw in (False, True):
            block = sql_block(f"lab_{provider}_{raw}".lower())
            options = {
                "data_provider": provider,
                "data_provider_profile": "default",
                "use_raw_sql": raw,
                "export_write_policy": "replace",
            }
            sql = "SELECT vendor_id, count(*) AS trips FROM taxi.trips_green GROUP BY 1 ORDER BY 1"
            (result,) = execute_sql_code(block, sql, configuration=options, global_vars={})
            assert result["trips"].sum() == before[0][0]
    written = query_postgres(
        environment, "SELECT schemaname, tablename FROM pg_tables WHERE tablename LIKE '%lab_postgres%'"
    )
    assert {schema for schema, _ in written} == {"sandbox"}
    with duckdb.connect(servers.workspace / "warehouse.duckdb", read_only=True) as connection:
        tables = connection.sql(
            "SELECT table_schema FROM information_schema.tables WHERE table_name LIKE '%lab_duckdb%'"
        )
        assert tables.fetchall() == [("sandbox",)]


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("provider", ["postgres", "duckdb"])
def test_df_1_is_the_data_frame_of_a_block_of_taxi_trips(servers, environment, provider, raw):
    from launchers.mage.sql_blocks import patch_duckdb_blocks

    patch_duckdb_blocks()
    variables = {"service": "green", "month": "2020-04", "source": "sample:300:1"}
    options = {
        "data_provider": provider,
        "data_provider_profile": "default",
        "use_raw_sql": raw,
        "export_write_policy": "replace",
    }
    block = sql_block(f"lab_df_{provider}_{raw}".lower(), options, after="derive_trips")
    for name in ("download_trips", "clean_trips", "derive_trips"):
        block.pipeline.get_block(name).execute_sync(global_vars=variables, update_status=False)
    (sample,) = block.pipeline.get_block("derive_trips").get_raw_outputs("derive_trips")
    sql = "SELECT vendor_id, count(*) AS trips, sum(trip_distance) AS miles FROM {{ df_1 }} GROUP BY 1"
    (result,) = block.execute_sync(global_vars=variables, custom_code=sql, update_status=False)["output"]
    expected = sample.groupby("vendor_id", dropna=False).agg(
        trips=("fare_amount", "size"), miles=("trip_distance", "sum")
    )
    result = result.set_index("vendor_id").sort_index().astype("float64")
    pd.testing.assert_frame_equal(result, expected.astype("float64"), check_index_type=False)
    tables = "FROM information_schema.tables WHERE table_name LIKE '%derive_trips%'"
    schemas = f"SELECT DISTINCT table_schema {tables}"
    if provider == "postgres":
        written = query_postgres(environment, schemas)
    else:
        with duckdb.connect(servers.workspace / "warehouse.duckdb", read_only=True) as connection:
            written = connection.sql(schemas).fetchall()
    assert written == [("sandbox",)]


def sql_block(name, configuration=None, after=None):
    """An SQL block of taxi_trips, after another one."""
    from mage_ai.data_preparation.models.block.sql import SQLBlock
    from mage_ai.data_preparation.models.pipeline import Pipeline

    pipeline = Pipeline.get("taxi_trips", repo_path=str(PROJECT / "mage_project"))
    block = SQLBlock(
        name, name, "transformer", language="sql", pipeline=pipeline, configuration=configuration or {}
    )
    block.upstream_blocks = [pipeline.get_block(after)] if after else []
    return block


@pytest.mark.slow
def test_bigquery_templates_with_application_default_credentials(shared_dataset, tmp_path, monkeypatch):
    from mage_ai.io.bigquery import BigQuery

    target = shared_dataset.target
    # the emulator lacks this view, which Mage asks whether the table exists
    summary = f"CREATE TABLE {target.dataset}.`__TABLES_SUMMARY__` (table_id STRING)"
    shared_dataset.connection.client.query(summary).result()
    with _token_server() as url:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(_key(tmp_path, url)))
        monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", target.project)
        monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", target.endpoint)
        client = BigQuery.with_config(profile("google"))
        client.export(ROWS, f"{target.project}.{target.dataset}.days", if_exists="replace")
        loaded = client.load(f"SELECT sum(trips) AS trips FROM {target.dataset}.days")
    assert loaded["trips"].iloc[0] == 7


def _key(folder: Path, token_url: str) -> Path:
    """The key of an account that exists nowhere."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    private = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    key = {
        "type": "service_account",
        "project_id": "local",
        "client_email": "lab@local.iam.gserviceaccount.com",
        "private_key": private.decode(),
        "token_uri": token_url,
    }
    path = folder / "key.json"
    path.write_text(json.dumps(key))
    return path


@contextlib.contextmanager
def _token_server():
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(b'{"access_token": "x", "expires_in": 3600, "token_type": "Bearer"}')

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/token"
        server.shutdown()
