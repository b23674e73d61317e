"""SQL on one month in a destination, for exploration (see the scratchpad explore_trips)."""

from __future__ import annotations

import functools
import io
from typing import Any

import pandas as pd

from nyc_taxi.errors import SettingsError
from nyc_taxi.load.object_store.months import ObjectMonths
from nyc_taxi.load.postgres.load import Postgres
from nyc_taxi.load.registry import open_destination
from nyc_taxi.load.warehouse.bigquery.load import BigQuery
from nyc_taxi.load.warehouse.duckdb.load import DuckDb
from nyc_taxi.model.months import Month, Service
from nyc_taxi.schema import tables
from nyc_taxi.settings import load_settings


def query_destination(name: str, sql: str, service: Service, month: Month) -> pd.DataFrame:
    """Run a query on a month's trips, which are `{trips}` in the SQL.

    The dialect is that of Postgres or BigQuery, and DuckDB's for the others. The result has to fit into
    memory; from a bucket the month's whole file is fetched. Raises SettingsError for an unknown destination
    and what the destination raises.
    """
    return _query(open_destination(name, load_settings()), sql, service, month)


@functools.singledispatch
def _query(destination: Any, sql: str, service: Service, month: Month) -> pd.DataFrame:
    raise SettingsError(f"{destination.describe()} cannot be queried: use another destination.")


@_query.register
def _postgres(destination: Postgres, sql: str, service: Service, month: Month) -> pd.DataFrame:
    from nyc_taxi.load.postgres.client import execute, transaction

    with transaction(destination.config.reachable()) as connection:
        result = execute(connection, sql.format(trips=_month_of(tables.trips(service).name, month)))
        return pd.DataFrame(result.fetchall(), columns=list(result.keys()))


@_query.register
def _duckdb(destination: DuckDb, sql: str, service: Service, month: Month) -> pd.DataFrame:
    with destination.engine.session(read_only=True) as session:
        trips = _month_of(session.qualified(tables.trips(service).name), month)
        return session.connection.sql(sql.format(trips=trips)).df()


@_query.register
def _bigquery(destination: BigQuery, sql: str, service: Service, month: Month) -> pd.DataFrame:
    connection = destination.engine.connection
    trips = _month_of(connection.qualified(tables.trips(service).name), month)
    rows = connection.client.query(sql.format(trips=trips)).result()
    return pd.DataFrame([dict(row) for row in rows])


@_query.register
def _object(destination: ObjectMonths, sql: str, service: Service, month: Month) -> pd.DataFrame:
    import duckdb
    import pyarrow.parquet as pq

    from nyc_taxi.load.object_store.layout import data_key

    key = data_key("trips", service, month)
    content = destination.read_object(key)
    if content is None:
        raise SettingsError(f"{key} is not in {destination.describe()}: load {service} {month} first.")
    with duckdb.connect() as connection:
        connection.register("month_of_bucket", pq.read_table(io.BytesIO(content)))
        return connection.sql(sql.format(trips="month_of_bucket")).df()


def _month_of(table: str, month: Month) -> str:
    return f"(SELECT * FROM {table} WHERE month = DATE '{month.first_day}') AS trips"
