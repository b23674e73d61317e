"""One schema of a DuckDB file as an Engine."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nyc_taxi.load.warehouse.duckdb import tables as ddl
from nyc_taxi.load.warehouse.duckdb.client import opened
from nyc_taxi.load.warehouse.duckdb.config import DuckDbConfig
from nyc_taxi.load.warehouse.duckdb.session import DuckDbSession
from nyc_taxi.load.warehouse.engine import Statement
from nyc_taxi.model.months import Service
from nyc_taxi.model.run import Run
from nyc_taxi.schema.sql import literal, quoted
from nyc_taxi.schema.tables import Table


class DuckDbEngine:
    """An Engine in a DuckDB file, which one process at a time may write."""

    def __init__(self, config: DuckDbConfig, schema: str) -> None:
        self._config = config
        self._schema = schema

    def describe(self) -> str:
        """See Engine."""
        return f"DuckDB file {self._config.file}, schema {self._schema}"

    def qualified(self, name: str) -> str:
        """See Reader."""
        return f"{quoted(self._schema)}.{quoted(name)}"

    @contextlib.contextmanager
    def session(self, read_only: bool = False) -> Iterator[DuckDbSession]:
        """An open connection; what is not committed at its end is undone. Raises as `opened` does."""
        with opened(self._config, read_only) as connection:
            yield DuckDbSession(connection, self._schema)

    def rows(self, query: str, values: Mapping[str, Any], optional: str = "") -> list[dict[str, Any]]:
        """See Reader; without a file there are no rows."""
        if not self._config.file.exists():
            return []
        with self.session(read_only=True) as session:
            return session.rows(query, values, optional)

    def create(self, tables: Sequence[Table]) -> None:
        """See Engine."""
        with self.session() as session:
            self._execute(session, ddl.missing_tables(session, tables), {})

    @contextlib.contextmanager
    def staged(self, table: Table, path: Path, name: str) -> Iterator[str]:
        """See Engine: DuckDB reads the file itself."""
        yield f"read_parquet({literal(str(path))}, hive_partitioning = false)"

    def transact(
        self,
        statements: Sequence[Statement],
        values: Mapping[str, Any],
        run: Run,
        name: str,
        service: Service | None = None,
    ) -> None:
        """See Engine."""
        with self.session() as session:
            self._execute(session, statements, values)

    def _execute(
        self, session: DuckDbSession, statements: Sequence[Statement], values: Mapping[str, Any]
    ) -> None:
        session.connection.begin()
        for statement in statements:
            session.execute(statement, values)
        session.connection.commit()
