"""A loader that stops (SIGSTOP, a paused machine) at the worst moment holds readers up for a few seconds."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import duckdb
import pytest

from nyc_taxi.errors import LockTimeout
from nyc_taxi.load.postgres.load import Postgres
from nyc_taxi.load.registry import open_destination
from nyc_taxi.load.warehouse.duckdb.config import DuckDbConfig
from nyc_taxi.load.warehouse.duckdb.load import DuckDb
from nyc_taxi.settings import load_settings
from nyc_taxi.transform.refined import RefinedMonth
from tests.support.builders import month_files
from tests.support.destinations import Probe, SqlProbe
from tests.support.kill_points import checked
from tests.support.killed import resume, stopped_load
from tests.support.postgres_probe import RUN, ask, session

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads the state of a process from /proc")

LONGEST_WAIT = 20
"""Seconds a reader may wait; the bound that the loader sets is 3 s, the rest is for a slow machine."""

TRIPS = {"v1": 5, "v2": 8, "v3": 13}

AT_THE_SWAP = checked(
    "nyc_taxi.load.postgres.swap:_rename:call",
    "nyc_taxi.load.postgres.swap:swap:return:2",
    "nyc_taxi.load.postgres.ledger:add:call",
    "nyc_taxi.load.postgres.ledger:add:return",
)
WHILE_WRITING = checked("nyc_taxi.load.warehouse.duckdb.replace:replace_month:before commit")

AT_THE_COMMIT = checked(
    "nyc_taxi.load.warehouse.bigquery.staging:stage:return",
    "nyc_taxi.load.warehouse.bigquery.queries:run_transaction.<locals>.start:return",
)


@pytest.mark.parametrize("place", AT_THE_SWAP)
def test_readers_of_postgres_wait_for_seconds_and_the_load_begins_again(
    postgres_destination: Probe, tmp_path: Path, place: str
) -> None:
    postgres = open_destination("postgres", load_settings())
    assert isinstance(postgres, Postgres)
    postgres.replace_month(RefinedMonth.of(month_files(tmp_path / "v1", "v1", trips=5)), RUN)
    files = month_files(tmp_path / "v2", "v2", trips=8)
    with session(postgres.config) as reader, stopped_load("postgres", files, place) as loader:
        ask(reader, f"SET statement_timeout TO '{LONGEST_WAIT}s'")
        count = "SELECT count(*) FROM trips_green"
        assert ask(reader, count) == [(5,)]
        assert resume(loader) == 0
        assert ask(reader, count) == [(8,)]
    assert [entry.version for entry in postgres.history(files.service, files.month)] == ["v1", "v2"]


@pytest.mark.parametrize("place", WHILE_WRITING)
def test_who_waits_for_duckdb_is_told_of_the_stopped_process(
    duckdb_destination: SqlProbe, tmp_path: Path, place: str
) -> None:
    duckdb_destination.open().replace_month(RefinedMonth.of(month_files(tmp_path / "v1", "v1", trips=5)), RUN)
    files = month_files(tmp_path / "v2", "v2", trips=8)
    file = DuckDbConfig.from_settings(load_settings()).file
    with stopped_load("duckdb", files, place) as loader:
        began = time.monotonic()
        with pytest.raises(duckdb.IOException, match=rf"PID {loader.pid}"):
            duckdb.connect(file, read_only=True)
        with pytest.raises(LockTimeout, match=rf"PID {loader.pid}"):
            DuckDb(DuckDbConfig(file, patience=0.5)).ledger_entries()
        assert time.monotonic() - began < LONGEST_WAIT
        assert resume(loader) == 0
    assert duckdb_destination.versions(files.month) == ["v1", "v2"]
    assert len(duckdb_destination.rows("trips", files.month)) == 8


@pytest.mark.slow
@pytest.mark.parametrize("place", AT_THE_COMMIT)
def test_a_stopped_loader_holds_no_lock_in_bigquery(
    bigquery_destination: Probe, tmp_path: Path, place: str
) -> None:
    """The transaction is one job that BigQuery runs to its end, with or without the client."""
    month = bigquery_destination.new_month()
    versions = {
        name: month_files(tmp_path / name, name, month=str(month), trips=trips)
        for name, trips in TRIPS.items()
    }
    bigquery_destination.open().replace_month(RefinedMonth.of(versions["v1"]), RUN)
    with stopped_load("bigquery", versions["v2"], place) as loader:
        other = bigquery_destination.open()
        assert other.replace_month(RefinedMonth.of(versions["v3"]), RUN).version == "v3"
        assert len(bigquery_destination.rows("trips", month)) == TRIPS["v3"]
        assert resume(loader) == 0
    history = bigquery_destination.versions(month)
    assert sorted(history) == ["v1", "v2", "v3"]
    assert len(bigquery_destination.rows("trips", month)) == TRIPS[history[-1]]
