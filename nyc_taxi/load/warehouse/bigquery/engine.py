"""One dataset in BigQuery as an Engine."""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nyc_taxi.load.footer import footer
from nyc_taxi.load.warehouse.bigquery.client import Connection, connect
from nyc_taxi.load.warehouse.bigquery.config import BigQueryConfig
from nyc_taxi.load.warehouse.bigquery.errors import translate_errors
from nyc_taxi.load.warehouse.bigquery.jobs import finish, job_name, labels
from nyc_taxi.load.warehouse.bigquery.queries import run_transaction, select
from nyc_taxi.load.warehouse.bigquery.staging import Staged, begin_load, lacks_rows
from nyc_taxi.load.warehouse.bigquery.tables import add_missing, create_missing, lock
from nyc_taxi.load.warehouse.engine import Statement
from nyc_taxi.model.months import Service
from nyc_taxi.model.run import Run
from nyc_taxi.schema.tables import BIGQUERY_TYPES, Table, column_types


class BigQueryEngine:
    """An Engine in BigQuery. The dataset must exist; a killed run's jobs are found by their names."""

    def __init__(self, config: BigQueryConfig) -> None:
        self._config = config

    @functools.cached_property
    def connection(self) -> Connection:
        """Connected on first use."""
        return connect(self._config)

    def describe(self) -> str:
        """See Engine."""
        return self._config.describe()

    def qualified(self, name: str) -> str:
        """See Reader."""
        return self.connection.qualified(name)

    def rows(self, query: str, values: Mapping[str, Any], optional: str = "") -> list[dict[str, Any]]:
        """See Reader."""
        return select(self.connection, query, values, optional)

    def create(self, tables: Sequence[Table]) -> None:
        """See Engine."""
        create_missing(self.connection, [*tables, lock()])
        for table in tables:
            add_missing(self.connection, table, {}, {})

    @contextlib.contextmanager
    def staged(self, table: Table, path: Path, name: str) -> Iterator[str]:
        """See Engine: the rows in a staging table, which is dropped at the end."""
        connection, columns = self.connection, column_types(table.columns, BIGQUERY_TYPES)
        staging = re.sub(r"\W", "_", f"staging_{table.name}_{name}")
        staged = Staged(table.name, path, table, staging, columns, {}, footer(path).num_rows, None)
        if lacks_rows(connection, staged):
            finish(connection, begin_load(connection, staged, job_name(connection, staging), {}))
        yield self.qualified(staging)
        with translate_errors(self._config):
            connection.client.delete_table(connection.name(staging), not_found_ok=True, **connection.options)

    def transact(
        self,
        statements: Sequence[Statement],
        values: Mapping[str, Any],
        run: Run,
        name: str,
        service: Service | None = None,
    ) -> None:
        """See Engine."""
        parameters = {**values, "run_id": run.run_id}
        job = job_name(self.connection, name)
        run_transaction(self.connection, job, lock(service), statements, parameters, labels(run))
