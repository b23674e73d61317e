"""Set up each registered destination for the conformance suite, and read it without the code under test.

A new destination needs a class with the methods of `Probe`, a fixture that yields it, and an entry in
FIXTURES.
"""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import psycopg2.errors
import pyarrow.parquet as pq
import pytest

from nyc_taxi.load.contract import Destination
from nyc_taxi.load.postgres.client import execute, transaction
from nyc_taxi.load.postgres.config import PostgresConfig
from nyc_taxi.load.registry import REGISTRY, open_destination
from nyc_taxi.model.months import Month, Service
from nyc_taxi.settings import load_settings
from tests.support import archive
from tests.support.bigquery import Dataset
from tests.support.clouds import Cloud, gcs_cloud, s3_cloud
from tests.support.kill_points import checked
from tests.support.postgres_probe import session

Row = dict[str, Any]

FIXTURES = {
    "postgres": "postgres_destination",
    "gcs": "gcs_destination",
    "s3": "s3_destination",
    "bigquery": "bigquery_destination",
    "duckdb": "duckdb_destination",
    "archive": "archive_destination",
}
"""The fixture that configures a destination in the environment and yields its Probe, by registered name."""

SLOW = {"bigquery"}
"""Destinations whose emulator takes 0.1 s per response."""

KEYS = {"trips": "source_row", "quarantine": "source_row", "quality": "measure"}
"""Sort key of the rows of each kind."""


@dataclass
class Probe:
    """An empty destination, configured in the environment."""

    name: str
    kill_points: tuple[str, ...] = ()
    """Places at which a load is killed; see `tests.support.kill_points`."""
    is_transactional: bool = True
    """Whether trips, quarantine and ledger change atomically; object stores replace objects one by one."""
    admits_readers: bool = True
    """Whether others can read while a month is loaded."""
    _months: Iterator[int] = field(default_factory=itertools.count)

    def open(self) -> Destination:
        """Open the destination as a new process would."""
        return open_destination(self.name, load_settings())

    def new_month(self) -> Month:
        """Return a month that no other test loads."""
        return Month(2020, 4) + next(self._months)

    def rows(self, kind: str, month: Month, service: Service = Service.GREEN) -> list[Row]:
        """Return a month's trips, quarantine or quality in the format of its Parquet file, sorted."""
        raise NotImplementedError

    def versions(self, month: Month) -> list[str]:
        """Return the versions of green in the ledger, oldest load first."""
        raise NotImplementedError

    def lookup(self, name: str) -> list[tuple[Any, ...]]:
        """Return the rows of a lookup, sorted."""
        raise NotImplementedError

    def damage(self, kind: str, month: Month) -> None:
        """Remove a row of green's trips or quarantine (or a whole object) without updating the ledger."""
        raise NotImplementedError


class SqlProbe(Probe):
    """A destination with tables, which subclasses query."""

    def query(self, sql: str) -> list[Row]:
        """Return the rows of a query; empty if its table does not exist."""
        raise NotImplementedError

    def rows(self, kind: str, month: Month, service: Service = Service.GREEN) -> list[Row]:
        """See Probe."""
        table = kind if kind == "quality" else f"{kind}_{service}"
        where = f"month = DATE '{month.first_day}'" + f" AND service = '{service}'" * (kind == "quality")
        rows = self.query(f"SELECT * FROM {table} WHERE {where} ORDER BY {KEYS[kind]}")
        return [{name: row[name] for name in row if name not in ("service", "month")} for row in rows]

    def versions(self, month: Month) -> list[str]:
        """See Probe."""
        where = f"service = 'green' AND month = DATE '{month.first_day}'"
        return [row["version"] for row in self.query(f"SELECT version FROM ledger WHERE {where} ORDER BY id")]

    def lookup(self, name: str) -> list[tuple[Any, ...]]:
        """See Probe."""
        return sorted(tuple(row.values()) for row in self.query(f"SELECT * FROM {name}"))

    def damage(self, kind: str, month: Month) -> None:
        """See Probe."""
        first = self.rows(kind, month)[0]["source_row"]
        where = f"month = DATE '{month.first_day}' AND source_row = {first}"
        self.execute(f"DELETE FROM {{schema}}{kind}_green WHERE {where}")

    def execute(self, sql: str) -> None:
        """Execute a statement, in which `{schema}` qualifies table names."""
        raise NotImplementedError


@dataclass
class PostgresProbe(SqlProbe):
    """A database of the embedded server."""

    config: PostgresConfig | None = None

    def query(self, sql: str) -> list[Row]:
        """See SqlProbe."""
        assert self.config
        with session(self.config) as connection, connection.cursor() as cursor:
            try:
                cursor.execute(sql)
            except psycopg2.errors.UndefinedTable:
                return []
            names = [column.name for column in cursor.description or []]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def execute(self, sql: str) -> None:
        """See SqlProbe."""
        assert self.config
        with transaction(self.config) as connection:
            execute(connection, sql.format(schema=""))


@dataclass
class DuckDbProbe(SqlProbe):
    """A file."""

    file: Path = Path()

    def query(self, sql: str) -> list[Row]:
        """See SqlProbe."""
        if not self.file.exists():
            return []
        with duckdb.connect(self.file, read_only=True) as connection:
            try:
                result = connection.execute(f"SET search_path = 'taxi'; {sql}")
            except duckdb.CatalogException:
                return []
            names = [column[0] for column in result.description or []]
            return [dict(zip(names, row, strict=True)) for row in result.fetchall()]

    def execute(self, sql: str) -> None:
        """See SqlProbe."""
        with duckdb.connect(self.file) as connection:
            connection.execute(sql.format(schema="taxi."))


@dataclass
class BigQueryProbe(SqlProbe):
    """A dataset that all tests share; each test loads its own months and lookups."""

    dataset: Dataset | None = None

    def query(self, sql: str) -> list[Row]:
        """See SqlProbe."""
        assert self.dataset
        table = re.findall(r" FROM (\w+)", sql)[0]
        if table not in self.dataset.tables():
            return []
        names = [
            item.name
            for item in self.dataset.connection.client.get_table(self.dataset.connection.name(table)).schema
        ]
        columns = names if "*" in sql else ["version"]
        return [dict(zip(columns, row, strict=True)) for row in self.dataset.ask(sql)]

    def execute(self, sql: str) -> None:
        """See SqlProbe."""
        assert self.dataset
        self.dataset.ask(sql.format(schema=""))

    def new_month(self) -> Month:
        """See Probe."""
        assert self.dataset
        return Month.parse(self.dataset.month())


@dataclass
class ObjectProbe(Probe):
    """A bucket."""

    cloud: Cloud | None = None

    def rows(self, kind: str, month: Month, service: Service = Service.GREEN) -> list[Row]:
        """See Probe."""
        data = self._objects().get(f"{kind}/service={service}/month={month}/{kind}.parquet")
        rows = pq.read_table(io.BytesIO(data)).to_pylist() if data else []
        return sorted(rows, key=lambda row: row[KEYS[kind]])

    def versions(self, month: Month) -> list[str]:
        """See Probe."""
        folder = f"ledger/service=green/month={month}/"
        entries = [data for key, data in sorted(self._objects().items()) if key.startswith(folder)]
        return [re.findall(r'"version": "(\w+)"', data.decode())[0] for data in entries]

    def lookup(self, name: str) -> list[tuple[Any, ...]]:
        """See Probe."""
        data = self._objects()[f"{name}/{name}.parquet"]
        return sorted(tuple(row.values()) for row in pq.read_table(io.BytesIO(data)).to_pylist())

    def damage(self, kind: str, month: Month) -> None:
        """See Probe."""
        assert self.cloud
        self.cloud.remove(f"{kind}/service=green/month={month}/{kind}.parquet")

    def _objects(self) -> dict[str, bytes]:
        assert self.cloud
        return {key: data for key, (data, _) in self.cloud.objects().items()}


@pytest.fixture
def postgres_destination(postgres: PostgresConfig) -> Probe:
    """Return a database; loads are killed in COPY, after staging, before the ledger entry, around COMMIT."""
    kill_points = checked(
        "nyc_taxi.load.postgres.copy:_Pipe.read:call:2",
        "nyc_taxi.load.postgres.replace:_stage:return",
        "nyc_taxi.load.postgres.replace:_swap:return",
        "nyc_taxi.load.postgres.ledger:add:return",
        "nyc_taxi.load.postgres.load:Postgres.replace_month:return",
    )
    return PostgresProbe("postgres", kill_points, config=postgres)


def _duckdb(name: str, file: Path) -> Probe:
    """Return a file; loads are killed when inserting the quarantine, around COMMIT and on closing."""
    kill_points = checked(
        "nyc_taxi.load.warehouse.duckdb.replace:_replace:return:2",
        "nyc_taxi.load.warehouse.duckdb.replace:replace_month:before commit",
        "nyc_taxi.load.warehouse.duckdb.replace:replace_month:after commit",
        "nyc_taxi.load.warehouse.duckdb.load:DuckDb.replace_month:return",
    )
    return DuckDbProbe(name, kill_points, admits_readers=False, file=file)


@pytest.fixture
def duckdb_destination(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Probe:
    """Return a file that does not exist yet."""
    monkeypatch.setenv("DUCKDB_DATABASE", str(tmp_path / "warehouse.duckdb"))
    return _duckdb("duckdb", tmp_path / "warehouse.duckdb")


@pytest.fixture
def archive_destination(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Probe:
    """Return the destination that only tests register."""
    monkeypatch.setitem(REGISTRY, "archive", archive.REGISTRATION)
    return _duckdb("archive", workspace / "archive.duckdb")


@pytest.fixture
def bigquery_destination(bigquery: Dataset) -> Probe:
    """Return a dataset; loads are killed after staging."""
    kill_points = checked("nyc_taxi.load.warehouse.bigquery.staging:stage:return")
    return BigQueryProbe("bigquery", kill_points, dataset=bigquery)


@pytest.fixture
def gcs_destination(quick: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Probe]:
    """Yield a bucket of the JSON API's stub."""
    with gcs_cloud() as cloud:
        yield _bucket(cloud, monkeypatch)


@pytest.fixture
def s3_destination(quick: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Probe]:
    """Yield a bucket of moto."""
    with s3_cloud() as cloud:
        yield _bucket(cloud, monkeypatch)


def _bucket(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Probe:
    """Return a bucket; loads are killed between writing trips and manifest."""
    for name, value in cloud.environment().items():
        monkeypatch.setenv(name, value)
    kill_points = checked("nyc_taxi.load.object_store.writer:MonthWriter.put:return:3")
    return ObjectProbe(cloud.name, kill_points, is_transactional=False, cloud=cloud)
