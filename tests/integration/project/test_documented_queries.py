"""The SQL and the Python of the documentation run, on a generated month loaded by the command line."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import psycopg2
import pytest

import nyc_taxi
from nyc_taxi.local.postgres import Server
from nyc_taxi.settings import PROJECT
from tests.support.postgres_probe import admin_url
from tests.unit.docs.markdown import blocks

ANALYST, OPERATOR = PROJECT / "docs" / "analyst.md", PROJECT / "docs" / "operator.md"


def queries(database: str) -> list[str]:
    """The queries for one database; a comment on the first line says that a query is for that one only."""
    return [
        sql
        for sql in blocks(ANALYST, "sql")
        if sql.startswith(f"-- {database}\n") or not sql.startswith("-- ")
    ]


def load(destination: str, service: str = "green", month: str = "2020-04") -> None:
    """Load a generated month."""
    program = Path(sys.executable).parent / "taxi"
    arguments = ["run", service, month, "--source", "sample:2000:1", "--to", destination]
    subprocess.run([program, *arguments], cwd=PROJECT, check=True, capture_output=True, text=True)


def in_workspace(code: str, workspace: Path) -> str:
    """Let documented code read the test's workspace, whose months are generated."""
    return code.replace("workspace/current/", f"{workspace}/generated/")


def test_every_query_is_for_a_known_database() -> None:
    labels = {sql.splitlines()[0] for sql in blocks(ANALYST, "sql") if sql.startswith("-- ")}
    assert labels == {"-- Postgres", "-- DuckDB", "-- BigQuery"}


def test_queries_on_duckdb(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DUCKDB_DATABASE", raising=False)
    load("duckdb")
    with duckdb.connect(workspace / "warehouse.duckdb", read_only=True) as connection:
        for sql in queries("DuckDB"):
            assert connection.execute(in_workspace(sql, workspace)).fetchall(), f"no rows: {sql}"


def test_one_query_counts_trips_by_zone_since_2009(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DUCKDB_DATABASE", raising=False)
    for service, month in (("yellow", "2009-01"), ("green", "2014-03"), ("yellow", "2020-04")):
        load("duckdb", service, month)
    (query,) = (sql for sql in blocks(ANALYST, "sql") if "extract(year" in sql)
    with duckdb.connect(workspace / "warehouse.duckdb", read_only=True) as connection:
        rows = connection.execute(query).fetchall()
    trips = {year: sum(row[3] for row in rows if row[0] == year) for year, *_ in rows}
    assert list(trips) == [2009, 2014, 2020]
    assert all(1800 < count <= 2000 for count in trips.values())


@pytest.mark.filterwarnings("ignore:green 2020-04. generated")
def test_python_examples(workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.delenv("DUCKDB_DATABASE", raising=False)
    load("duckdb")
    load("duckdb", "fhv")  # has other columns, and comes first in the folder
    names: dict[str, Any] = {}
    for code in blocks(ANALYST, "python"):
        exec(in_workspace(code, workspace), names)
    assert names["trips"].num_rows > len(names["long_trips"]) > 0
    assert names["reasons"].num_rows
    assert len(names["april"]) == names["trips"].num_rows
    assert "total_amount" in names["april"]
    assert len(names["long"].collect())
    assert "green 2020-04" in capsys.readouterr().out


BY_MONTH = "WHERE month = '2020-04-01';"


def test_the_same_filter_by_month_finds_the_same_trips(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, postgres: object
) -> None:
    monkeypatch.delenv("DUCKDB_DATABASE", raising=False)
    load("duckdb,postgres")
    both = [sql for sql in blocks(ANALYST, "sql") if sql.rstrip().endswith(BY_MONTH) and "revenue" in sql]
    on_tables, on_files = (in_workspace(sql, workspace) for sql in both)
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute(on_tables)
        (trips, revenue), *_ = cursor.fetchall()
    with duckdb.connect(workspace / "warehouse.duckdb", read_only=True) as warehouse:
        for sql in (on_tables, on_files):
            assert warehouse.execute(sql).fetchall() == [(trips, pytest.approx(revenue))]
        plan = warehouse.execute(f"EXPLAIN ANALYZE {on_files.replace('04-01', '05-01')}").fetchall()[0][1]
        assert "Scanning Files: 0/1" in plan
    read = nyc_taxi.read_trips("green", filters=[("month", "==", dt.date(2020, 4, 1))], generated=True)
    assert trips == len(read) > 0


def connect() -> contextlib.closing[psycopg2.extensions.connection]:
    """The database that the environment names."""
    names = {"host": "HOST", "port": "PORT", "dbname": "DBNAME", "user": "USER", "password": "PASSWORD"}
    options: dict[str, Any] = {key: os.environ[f"POSTGRES_{name}"] for key, name in names.items()}
    return contextlib.closing(psycopg2.connect(**options))


def test_the_roles_of_the_operators_guide(postgres_server: Server) -> None:
    """The embedded server has roles of these names already."""
    with contextlib.closing(psycopg2.connect(admin_url(postgres_server))) as connection:
        for sql in blocks(OPERATOR, "sql"):
            connection.cursor().execute(re.sub(r"\btaxi_(loader|reader)\b", r"other_\1", sql))
        connection.rollback()


@pytest.mark.usefixtures("postgres", "workspace")
def test_queries_on_postgres() -> None:
    load("postgres")
    with connect() as connection, connection.cursor() as cursor:
        for sql in queries("Postgres"):
            cursor.execute(sql)
            assert cursor.fetchall(), f"no rows: {sql}"


def test_queries_for_bigquery_parse() -> None:
    sqlglot = pytest.importorskip("sqlglot")
    for sql in queries("BigQuery"):
        sqlglot.parse_one(sql, read="bigquery")
