"""What each destination holds of a month, read past the code under test."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import duckdb
import httpx
import psycopg2
import pyarrow.parquet as pq

from nyc_taxi.local import gcs
from nyc_taxi.settings import load_settings
from tests.support.bigquery import Dataset

Rows = list[tuple[int, str, float, str]]
"""Per trip: source_row, pick-up time, total amount, flags."""

QUERY = """
    SELECT source_row, CAST(pickup_datetime AS VARCHAR), total_amount, {flags}
    FROM taxi.trips_green WHERE month = DATE '{month}-01' ORDER BY source_row
"""


def rows_of(path: Path | io.BytesIO) -> Rows:
    """The trips of a Parquet file."""
    table = pq.read_table(path, columns=["source_row", "pickup_datetime", "total_amount", "flags"])
    return sorted(
        (row["source_row"], str(row["pickup_datetime"]), row["total_amount"], ",".join(row["flags"]))
        for row in table.to_pylist()
    )


def in_postgres(month: str) -> Rows:
    """By psycopg2, from the database that the environment names."""
    names = {"host": "HOST", "port": "PORT", "dbname": "DBNAME", "user": "USER", "password": "PASSWORD"}
    options = {name: os.environ.get(f"POSTGRES_{variable}") for name, variable in names.items()}
    with contextlib.closing(psycopg2.connect(**options)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('taxi.trips_green')")
        if cursor.fetchone() == (None,):
            return []
        cursor.execute(QUERY.format(flags="array_to_string(flags, ',')", month=month))
        return cursor.fetchall()


def in_duckdb(month: str) -> Rows:
    """By duckdb, from the file that the environment names."""
    file = Path(os.environ["DUCKDB_DATABASE"])
    if not file.exists():
        return []
    with duckdb.connect(file, read_only=True) as connection:
        tables = connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()
        if ("trips_green",) not in tables:
            return []
        return connection.execute(QUERY.format(flags="array_to_string(flags, ',')", month=month)).fetchall()


def in_gcs(month: str) -> Rows:
    """By plain HTTP from the emulator."""
    name = quote(f"trips/service=green/month={month}/trips.parquet", safe="")
    host = gcs.ensure(
        load_settings().workspace / "gcs"
    ).url  # a victim may have died while it started the server
    answer = httpx.get(f"{host}/storage/v1/b/taxi/o/{name}", params={"alt": "media"}, trust_env=False)
    return [] if answer.status_code == 404 else rows_of(io.BytesIO(answer.raise_for_status().content))


def in_s3(month: str) -> Rows:
    """By boto3."""
    import boto3
    from botocore.exceptions import ClientError

    client = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT"], region_name="us-east-1")
    try:
        key = f"trips/service=green/month={month}/trips.parquet"
        found = client.get_object(Bucket=os.environ["S3_BUCKET"], Key=key)
    except ClientError:
        return []
    return rows_of(io.BytesIO(found["Body"].read()))


def in_bigquery(month: str) -> Rows:
    """By a query."""
    if "trips_green" not in DATASET[0].tables():
        return []
    rows = DATASET[0].ask(
        "SELECT source_row, CAST(pickup_datetime AS STRING), total_amount, ARRAY_TO_STRING(flags, ',')"
        f" FROM trips_green WHERE month = '{month}-01' ORDER BY source_row"
    )
    return [(row, str(time).replace("T", " "), *rest) for row, time, *rest in rows]


DATASET: list[Dataset] = []
"""The dataset under test, when it is BigQuery's turn."""

READERS: dict[str, Callable[[str], Rows]] = {
    "postgres": in_postgres,
    "duckdb": in_duckdb,
    "gcs": in_gcs,
    "s3": in_s3,
    "bigquery": in_bigquery,
}
