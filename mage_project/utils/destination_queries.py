"""SQL on a month as a destination holds it, for people who look around (see the scratchpad explore_trips)."""

from __future__ import annotations

import io

import pandas as pd

from nyc_taxi.errors import SettingsError
from nyc_taxi.model.months import Month, Service


def ask(destination: str, sql: str, service: Service, month: Month) -> pd.DataFrame:
    """The answer; `{trips}` in the SQL is the month's trips.

    Postgres and BigQuery speak their own SQL, the others DuckDB's. Only for answers that fit into
    memory; of a bucket the month's whole file is fetched. Raises SettingsError for an unknown name.
    """
    if destination not in _ASK:
        raise SettingsError(f"destination {destination!r} cannot be asked: use one of {', '.join(_ASK)}.")
    return _ASK[destination](sql, service, month)


def _postgres(sql: str, service: Service, month: Month) -> pd.DataFrame:
    from nyc_taxi.load.postgres.client import execute, transaction
    from nyc_taxi.load.postgres.config import configured
    from nyc_taxi.load.postgres.tables import trips_of

    with transaction(configured().reachable()) as connection:
        answer = execute(connection, sql.format(trips=_month_of(trips_of(service), month)))
        return pd.DataFrame(answer.fetchall(), columns=list(answer.keys()))


def _duckdb(sql: str, service: Service, month: Month) -> pd.DataFrame:
    from nyc_taxi.load.warehouse.duckdb.client import opened
    from nyc_taxi.load.warehouse.duckdb.load import DuckDb
    from nyc_taxi.load.warehouse.duckdb.tables import qualified

    with opened(DuckDb().file, read_only=True) as connection:
        return connection.sql(sql.format(trips=_month_of(qualified(f"trips_{service}"), month))).df()


def _bigquery(sql: str, service: Service, month: Month) -> pd.DataFrame:
    from nyc_taxi.load.warehouse.bigquery.client import connect
    from nyc_taxi.load.warehouse.bigquery.config import configured

    there = connect(configured())
    trips = _month_of(there.qualified(f"trips_{service}"), month)
    rows = there.client.query(sql.format(trips=trips)).result()
    return pd.DataFrame([dict(row) for row in rows])


def _gcs(sql: str, service: Service, month: Month) -> pd.DataFrame:
    from nyc_taxi.load.object_store.gcs.config import configured, embedded
    from nyc_taxi.load.object_store.gcs.store import GcsStore

    return _object(GcsStore(configured() or embedded()), sql, service, month)


def _s3(sql: str, service: Service, month: Month) -> pd.DataFrame:
    from nyc_taxi.load.object_store.s3.config import configured
    from nyc_taxi.load.object_store.s3.store import S3Store

    return _object(S3Store(configured()), sql, service, month)


def _object(store, sql: str, service: Service, month: Month) -> pd.DataFrame:
    import duckdb
    import pyarrow.parquet as pq

    from nyc_taxi.load.object_store.layout import data_key

    key = data_key("trips", service, month)
    found = store.read(key)
    if found is None:
        raise SettingsError(f"{key} is not in the bucket: load {service} {month} first.")
    with duckdb.connect() as connection:
        connection.register("month_of_bucket", pq.read_table(io.BytesIO(found[0])))
        return connection.sql(sql.format(trips="month_of_bucket")).df()


def _month_of(table: str, month: Month) -> str:
    return f"(SELECT * FROM {table} WHERE month = DATE '{month.first_day}') AS trips"


_ASK = {"postgres": _postgres, "gcs": _gcs, "s3": _s3, "bigquery": _bigquery, "duckdb": _duckdb}
