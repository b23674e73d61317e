"""No error text holds a secret: whatever a library says, `translate_errors` of each backend takes it out."""

from __future__ import annotations

import re
import traceback
from contextlib import AbstractContextManager
from pathlib import Path

import botocore.exceptions as boto
import duckdb
import google.api_core.exceptions as api
import psycopg2
import pymysql
import pytest
import requests
from google.auth.exceptions import TransportError
from sqlalchemy import engine, exc, text

import nyc_taxi
from nyc_taxi.errors import TaxiError, one_line
from nyc_taxi.lake.object_store.gcs import errors as gcs
from nyc_taxi.lake.object_store.s3 import errors as s3
from nyc_taxi.load.postgres import errors as postgres
from nyc_taxi.load.postgres.client import transaction
from nyc_taxi.load.postgres.config import PostgresConfig
from nyc_taxi.load.warehouse.bigquery import errors as bigquery
from nyc_taxi.load.warehouse.bigquery.config import BigQueryConfig
from nyc_taxi.load.warehouse.duckdb import client as duckdb_client
from nyc_taxi.pipelines.bikeshare.database import Database
from tests.support.postgres_probe import query

SECRET = "s3cr3t"
URL = f"https://loader:{SECRET}@host.example/upload?upload_id={SECRET}&X-Signature={SECRET}"
SAID = f"connection to {URL} failed: url: /b/o?upload_id={SECRET} (password={SECRET} host=x)"

POSTGRES = PostgresConfig("host", 5432, "taxi", "loader", SECRET)
MYSQL = Database(engine.URL.create("mysql+pymysql", "loader", SECRET, "host", 3306, "bikes"))


def statement(error: Exception) -> exc.DBAPIError:
    """As SQLAlchemy wraps it, with SQL and parameters."""
    return exc.OperationalError("INSERT INTO ledger VALUES (:url)", {"url": SECRET}, error)


CASES: dict[str, tuple[AbstractContextManager[None], Exception]] = {
    "load/postgres": (postgres.translate_errors(POSTGRES), statement(psycopg2.OperationalError(SAID))),
    "load/postgres, driver": (postgres.translate_errors(POSTGRES), psycopg2.OperationalError(SAID)),
    "load/warehouse/bigquery": (
        bigquery.translate_errors(BigQueryConfig("project", "taxi")),
        api.ServiceUnavailable(SAID),
    ),
    "load/warehouse/bigquery, transport": (
        bigquery.translate_errors(BigQueryConfig("project", "taxi")),
        TransportError(SAID),
    ),
    "load/warehouse/duckdb": (
        duckdb_client._translate_errors(Path("taxi.duckdb")),
        duckdb.IOException(f"{SAID}\n\nLINE 1: INSERT INTO ledger VALUES ('{SECRET}')"),
    ),
    "lake/object_store/gcs": (gcs.translate_errors("gs://b", ""), requests.ConnectionError(SAID)),
    "lake/object_store/gcs, answer": (gcs.translate_errors("gs://b", ""), api.Forbidden(SAID)),
    "lake/object_store/s3": (
        s3.translate_errors("s3://b"),
        boto.EndpointConnectionError(endpoint_url=URL),
    ),
    "lake/object_store/s3, answer": (
        s3.translate_errors("s3://b"),
        boto.ClientError(
            {"Error": {"Code": "Odd", "Message": SAID}, "ResponseMetadata": {"HTTPStatusCode": 400}},
            "PutObject",
        ),
    ),
    "pipelines/bikeshare": (MYSQL._translate_errors(), statement(pymysql.OperationalError(2003, SAID))),
}


@pytest.mark.parametrize("case", CASES)
def test_no_backend_shows_a_secret(case: str) -> None:
    translating, error = CASES[case]
    with pytest.raises(TaxiError) as caught, translating:
        raise error
    assert SECRET not in str(caught.value)
    assert "INSERT" not in str(caught.value)


def test_every_translate_errors_is_tried() -> None:
    package = Path(nyc_taxi.__file__).parent
    defining = {
        path.relative_to(package).parent.as_posix()
        for path in package.rglob("*.py")
        if re.search(r"^ *def _?translate_errors\(", path.read_text(), re.MULTILINE)
    }
    assert defining == {case.partition(",")[0] for case in CASES}


def test_values_of_a_row_are_not_shown(postgres: PostgresConfig) -> None:
    query(postgres, "CREATE SCHEMA taxi; CREATE TABLE taxi.t (a text NOT NULL, b text UNIQUE)")
    for values in ("NULL, 's3cr3t'", "'x', 's3cr3t'"):
        with pytest.raises(TaxiError) as caught, transaction(postgres) as connection:
            connection.execute(text(f"INSERT INTO t VALUES ({values}), ({values})"))
        assert SECRET not in str(caught.value)
        assert "t" in str(caught.value)


def test_a_traceback_shows_no_parameters(postgres: PostgresConfig) -> None:
    """Orchestrators print the errors that led to one as well."""
    with pytest.raises(TaxiError) as caught, transaction(postgres) as connection:
        connection.execute(text("SELECT :value FROM missing"), {"value": SECRET})
    assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain.\n next", "plain. next"),
        ("see https://cloud.google.com/docs (403).", "see https://cloud.google.com/docs (403)"),
        ("GET https://a:b@host/x?sig=1: 500", "GET https://host/x 500"),
        ('"x?" is no column', '"x?" is no column'),
        ("", "str"),
    ],
)
def test_one_line(text: str, expected: str) -> None:
    assert one_line(text) == expected
