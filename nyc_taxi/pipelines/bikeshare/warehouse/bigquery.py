"""BigQuery: a dataset of its own beside that of the trips."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import functools
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pyarrow.parquet as pq
import stamina

from nyc_taxi.errors import DestinationUnreachable
from nyc_taxi.load.contract import Run
from nyc_taxi.load.warehouse.bigquery.client import Connection, connect
from nyc_taxi.load.warehouse.bigquery.config import configured
from nyc_taxi.load.warehouse.bigquery.errors import translate_errors
from nyc_taxi.load.warehouse.bigquery.jobs import begin, finish
from nyc_taxi.load.warehouse.bigquery.tables import LOCK, add_missing, field
from nyc_taxi.pipelines.bikeshare.warehouse.base import Test
from nyc_taxi.schema.sql import comment
from nyc_taxi.schema.tables import BIGQUERY_TYPES, Table
from nyc_taxi.settings import settings

T = TypeVar("T")

CLUSTERING = {"raw_trips": ["start_station_id"], "fact_trips_daily": ["station_id"]}
"""What analysts ask for within a day."""

KEPT = dt.timedelta(days=3)
"""How long the staging table of a run that never came to an end stays."""

_UNIQUE = re.compile("(started_at|finished_at|run_id|orchestrator)_")
"""Parameters that differ between two runs of the same load."""


class BigQueryWarehouse:
    """A Warehouse in BigQuery."""

    def __init__(self, dataset: str) -> None:
        self._trips = configured()
        self._target = dataclasses.replace(self._trips, dataset=dataset)

    def describe(self) -> str:
        """See Warehouse."""
        return self._target.describe()

    def qualified(self, name: str) -> str:
        """See Warehouse."""
        return self._connection.qualified(name)

    def create(self, tables: Sequence[Table]) -> None:
        """See Warehouse; the dataset too is made where it is missing."""
        if self._location() is None:
            self._create_dataset()
        for table in (*tables, LOCK):
            if not self.has(table.name):
                self._create(table)
            add_missing(self._connection, table, {})

    def has(self, name: str) -> bool:
        """See Warehouse."""
        return self._rows_of(name) is not None

    @contextlib.contextmanager
    def staged(self, table: Table, path: Path) -> Iterator[str]:
        """See Warehouse: the file in a table of its own, which is dropped at the end."""
        version = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
        name = f"staging_{table.name}_{version}"
        _patiently(lambda: self._stage(name, table, path))
        yield self.qualified(name)
        connection = self._connection
        with translate_errors(self._target):
            connection.client.delete_table(connection.name(name), not_found_ok=True, **connection.options)

    def transact(self, statements: Sequence[str | Test], values: Mapping[str, Any], run: Run) -> None:
        """See Warehouse; a run that was killed meanwhile is found by the next, which waits for its job."""
        lock = self.qualified(LOCK.name)
        script = [
            f"INSERT INTO {lock} (run_id) SELECT '' FROM (SELECT 1) WHERE NOT EXISTS (SELECT 1 FROM {lock})",
            "BEGIN TRANSACTION",
            # two transactions that change this row cannot both succeed, as two that only add rows can
            f"UPDATE {lock} SET run_id = @run_id, taken_at = CURRENT_TIMESTAMP() WHERE TRUE",
            *(_sql(statement) for statement in statements),
            "COMMIT TRANSACTION",
        ]
        sql = "".join(f"{statement};\n" for statement in script)
        _patiently(lambda: self._query(sql, {"run_id": run.run_id, **values}, run))

    def rows(self, query: str, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        """See Warehouse."""
        connection = self._connection

        def ask() -> list[dict[str, Any]]:
            with translate_errors(self._target):
                job = connection.client.query(
                    query, job_config=_config(values), location=connection.location, **connection.options
                )
                return [dict(row.items()) for row in job.result(**connection.options)]

        return _patiently(ask)

    @functools.cached_property
    def _connection(self) -> Connection:
        return Connection(self._beside.client, self._target, self._location() or self._beside.location)

    @functools.cached_property
    def _beside(self) -> Connection:
        """To the trips' dataset, which must exist."""
        return connect(self._trips)

    def _location(self) -> str | None:
        """Where the dataset is; None when there is none."""
        from google.api_core.exceptions import NotFound

        with translate_errors(self._target):
            try:
                found = self._beside.client.get_dataset(self._target.dataset, **self._beside.options)
            except NotFound:
                return None
            return str(found.location)

    def _create_dataset(self) -> None:
        from google.cloud import bigquery

        made = bigquery.Dataset(f"{self._beside.project}.{self._target.dataset}")
        made.location = self._beside.location
        with translate_errors(self._target):
            self._beside.client.create_dataset(made, exists_ok=True, **self._beside.options)

    def _rows_of(self, name: str) -> int | None:
        """How many rows a table has; None when there is no such table."""
        from google.api_core.exceptions import NotFound

        connection = self._connection
        with translate_errors(self._target):
            try:
                return int(
                    connection.client.get_table(connection.name(name), **connection.options).num_rows or 0
                )
            except NotFound:
                return None

    def _create(self, table: Table, expires: dt.datetime | None = None) -> None:
        from google.cloud import bigquery

        connection = self._connection
        keys = [field(key.name, BIGQUERY_TYPES[key.type], comment(key), required=True) for key in table.keys]
        columns = [
            field(column.name, BIGQUERY_TYPES[column.type], comment(column)) for column in table.columns
        ]
        made = bigquery.Table(connection.name(table.name), schema=[*keys, *columns])
        made.description = table.description
        made.expires = expires
        if any(key.name == "date" for key in table.keys):
            made.time_partitioning = bigquery.TimePartitioning(type_="DAY", field="date")
        made.clustering_fields = CLUSTERING.get(table.name)
        with translate_errors(self._target):
            connection.client.create_table(made, exists_ok=True, **connection.options)

    def _stage(self, name: str, table: Table, path: Path) -> None:
        from google.cloud import bigquery

        rows = pq.read_metadata(path).num_rows
        staging = Table(name, f"For {table.name}; dropped at the end of the load.", (), table.columns)
        self._create(staging, dt.datetime.now(dt.UTC) + KEPT)
        connection = self._connection
        config = bigquery.LoadJobConfig(
            source_format=bigquery.SourceFormat.PARQUET,
            schema=[field(column.name, BIGQUERY_TYPES[column.type]) for column in table.columns],
            write_disposition=bigquery.WriteDisposition.WRITE_TRUNCATE,
        )

        def start(job_id: str) -> Any:
            with path.open("rb") as file:
                return connection.client.load_table_from_file(
                    file,
                    connection.name(name),
                    job_id=job_id,
                    job_config=config,
                    location=connection.location,
                    timeout=connection.options["timeout"],
                )

        job = f"nyc_taxi-{self._target.dataset}-{name}"
        finish(connection, begin(connection, job, start, lambda: self._rows_of(name) == rows))

    def _query(self, sql: str, values: Mapping[str, Any], run: Run) -> None:
        connection = self._connection
        config = _config(values)
        config.labels = {
            name: re.sub(r"[^a-z0-9_-]", "-", value.lower())[:63] for name, value in vars(run).items()
        }
        same = sorted((name, str(value)) for name, value in values.items() if not _UNIQUE.match(f"{name}_"))
        content = hashlib.sha256(f"{sql}{same}".encode()).hexdigest()[:16]

        def start(job_id: str) -> Any:
            return connection.client.query(
                sql,
                job_config=config,
                job_id=job_id,
                location=connection.location,
                job_retry=None,
                **connection.options,
            )

        job = f"nyc_taxi-{self._target.dataset}-{content}"
        finish(connection, begin(connection, job, start, lambda: False))


def _sql(statement: str | Test) -> str:
    return f"ASSERT {statement.condition} AS '{statement.says}'" if isinstance(statement, Test) else statement


def _config(values: Mapping[str, Any]) -> Any:
    from google.cloud.bigquery import QueryJobConfig, ScalarQueryParameter

    types = {str: "STRING", int: "INT64", dt.date: "DATE", dt.datetime: "TIMESTAMP"}
    parameters = [ScalarQueryParameter(name, types[type(value)], value) for name, value in values.items()]
    return QueryJobConfig(query_parameters=parameters)


def _patiently(action: Callable[[], T]) -> T:
    attempts = stamina.RetryingCaller(
        attempts=settings().retries, timeout=None, wait_initial=0.2, wait_max=20
    )
    return attempts(DestinationUnreachable, action)
