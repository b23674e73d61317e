"""The embedded warehouse: months in a DuckDB file."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from nyc_taxi.errors import DestinationError, DestinationUnreachable, LockTimeout, SchemaError
from nyc_taxi.load.registry import open_destination
from nyc_taxi.load.warehouse.duckdb import client
from nyc_taxi.load.warehouse.duckdb.config import PATIENCE, DuckDbConfig
from nyc_taxi.load.warehouse.duckdb.load import DuckDb
from nyc_taxi.load.warehouse.duckdb.replace import load_limits
from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.run import Run
from nyc_taxi.schema import trip_columns
from nyc_taxi.schema.sql import comment
from nyc_taxi.settings import PROJECT, load_settings
from nyc_taxi.transform.refined import RefinedMonth
from tests.support.builders import month_files
from tests.support.kill_points import checked
from tests.support.killed import load_and_kill

RUN = Run("run-1", "cli")
APRIL = Month(2020, 4)


@pytest.fixture
def warehouse(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> DuckDb:
    """The configured file, which is not there yet."""
    monkeypatch.delenv("DUCKDB_DATABASE", raising=False)
    warehouse = open_destination("duckdb", load_settings())
    assert isinstance(warehouse, DuckDb)
    assert warehouse.file == workspace / "warehouse.duckdb"
    return warehouse


def ask(warehouse: DuckDb, sql: str) -> list[tuple[Any, ...]]:
    """The rows of a query, past the code under test."""
    with duckdb.connect(warehouse.file, read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'; SET search_path = 'taxi'")
        return connection.execute(sql).fetchall()


def state(warehouse: DuckDb) -> dict[str, list[str]]:
    """Every row of every table."""
    tables = ask(warehouse, "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'taxi'")
    return {name: sorted(map(repr, ask(warehouse, f"FROM {name}"))) for (name,) in tables}


def test_tables_columns_and_views_say_what_they_are(warehouse: DuckDb, tmp_path: Path):
    warehouse.replace_month(RefinedMonth.of(month_files(tmp_path)), RUN)
    mine = "schema_name = 'taxi' AND NOT internal"
    uncommented = (
        f"SELECT table_name FROM duckdb_tables() WHERE {mine} AND comment IS NULL"
        f" UNION ALL SELECT view_name FROM duckdb_views() WHERE {mine} AND comment IS NULL"
        f" UNION ALL SELECT column_name FROM duckdb_columns() JOIN duckdb_tables() USING (table_oid)"
        " WHERE duckdb_columns.schema_name = 'taxi' AND duckdb_columns.comment IS NULL"
    )
    assert ask(warehouse, uncommented) == []
    comments = ask(
        warehouse, "SELECT column_name, comment FROM duckdb_columns() WHERE table_name = 'trips_green'"
    )
    assert {c.name: comment(c) for c in trip_columns(Service.GREEN)}.items() <= dict(comments).items()


def test_unknown_columns_are_added_and_empty_elsewhere(warehouse: DuckDb, tmp_path: Path):
    warehouse.replace_month(RefinedMonth.of(month_files(tmp_path, trips=2)), RUN)
    extra = {"robot": pa.array(["R2", "D2"]), "charge": pa.array([1.5, None])}
    folder = tmp_path / "robot=none"  # as folders of the workspace are named
    warehouse.replace_month(RefinedMonth.of(month_files(folder, month="2020-05", trips=2, extra=extra)), RUN)
    warehouse.replace_month(RefinedMonth.of(month_files(tmp_path, month="2020-06", trips=1)), RUN)
    rows = ask(warehouse, "SELECT robot, charge FROM trips_green ORDER BY month, source_row")
    assert rows == [(None, None), (None, None), ("R2", 1.5), ("D2", None), (None, None)]
    described = "SELECT comment FROM duckdb_columns() WHERE column_name = 'robot'"
    assert ask(warehouse, described) == [("Not known to the schema; as in the file.",)]


def test_a_canonical_column_that_an_older_table_lacks_is_added(warehouse: DuckDb, tmp_path: Path):
    warehouse.replace_month(RefinedMonth.of(month_files(tmp_path)), RUN)
    with duckdb.connect(warehouse.file) as connection:
        # of a table that is not loaded now, but that the views read
        connection.execute("ALTER TABLE taxi.trips_yellow DROP COLUMN congestion_surcharge")
    warehouse.replace_month(RefinedMonth.of(month_files(tmp_path, "v2")), RUN)
    assert ask(warehouse, "SELECT count(*) FROM taxi_trips WHERE congestion_surcharge IS NULL") == [(20,)]


def test_a_column_of_another_type_is_refused_and_nothing_changes(warehouse: DuckDb, tmp_path: Path):
    number, text = {"robot": pa.array([1, 2])}, {"robot": pa.array(["R2", "D2"])}
    warehouse.replace_month(RefinedMonth.of(month_files(tmp_path, trips=2, extra=number)), RUN)
    was = state(warehouse)
    with pytest.raises(
        SchemaError, match="trips_green: the column robot is BIGINT, but VARCHAR in the month"
    ):
        warehouse.replace_month(RefinedMonth.of(month_files(tmp_path, "v2", trips=2, extra=text)), RUN)
    assert state(warehouse) == was


def test_the_file_does_not_grow_with_every_replacement(warehouse: DuckDb, tmp_path: Path):
    sizes = []
    for turn in range(8):
        warehouse.replace_month(RefinedMonth.of(month_files(tmp_path, f"v{turn}", trips=30_000)), RUN)
        sizes.append(warehouse.file.stat().st_size)
    assert sizes[-1] <= 2 * sizes[1]


# ---- one writer at a time


@contextmanager
def opened_elsewhere(file: Path, read_only: bool) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the file open until its stdin closes."""
    code = (
        f"import duckdb, sys\nwith duckdb.connect({str(file)!r}, read_only={read_only}):\n"
        "    print('open', flush=True)\n    sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout
        assert other.stdout.readline() == "open\n"
        yield other


def test_a_load_has_less_memory_than_what_follows_it(warehouse: DuckDb):
    settings = "SELECT current_setting('memory_limit') AS memory, current_setting('threads') AS threads"
    with warehouse.engine.session() as session:
        before = session.rows(settings, {})
        with load_limits(session):
            during = session.rows(settings, {})
        assert (
            session.rows(settings, {}) == before == [{"memory": "488.2 MiB", "threads": before[0]["threads"]}]
        )
    assert during == [{"memory": "183.1 MiB", "threads": 1}]


def test_a_file_that_another_process_keeps_is_named_with_the_process(warehouse: DuckDb, tmp_path: Path):
    warehouse.replace_month(RefinedMonth.of(month_files(tmp_path)), RUN)
    hasty = DuckDb(DuckDbConfig(warehouse.file, patience=0))
    with opened_elsewhere(warehouse.file, read_only=False) as other:
        for action in (
            lambda: hasty.replace_month(RefinedMonth.of(month_files(tmp_path, "v2")), RUN),
            hasty.ledger_entries,
        ):
            with pytest.raises(DestinationUnreachable, match=rf"warehouse.duckdb is locked by .*{other.pid}"):
                action()
    with opened_elsewhere(warehouse.file, read_only=True):
        assert len(hasty.ledger_entries()) == 1, "readers do not exclude each other"
        with pytest.raises(DestinationUnreachable, match="is locked by"):
            hasty.replace_month(RefinedMonth.of(month_files(tmp_path, "v3")), RUN)


def test_a_run_waits_once_for_a_file_that_stays_locked(
    warehouse: DuckDb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    warehouse.replace_month(RefinedMonth.of(month_files(tmp_path)), RUN)
    clock, pauses = itertools.count(0, 10), list[float]()
    monkeypatch.setattr(client, "time", SimpleNamespace(monotonic=clock.__next__, sleep=pauses.append))
    patient = DuckDb(DuckDbConfig(warehouse.file))
    locked = pytest.raises(LockTimeout, match=r"warehouse.duckdb is locked by .*PID \d+")
    with opened_elsewhere(warehouse.file, read_only=False):
        with locked:
            patient.ledger_entries()
        waited = len(pauses)
        assert 0 < waited <= PATIENCE
        with locked:
            patient.replace_month(RefinedMonth.of(month_files(tmp_path, "v2")), RUN)
        assert len(pauses) <= waited + 1
    assert len(patient.ledger_entries()) == 1


def test_a_run_waits_until_the_file_is_free(
    warehouse: DuckDb, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    warehouse.replace_month(RefinedMonth.of(month_files(tmp_path)), RUN)
    with opened_elsewhere(warehouse.file, read_only=True) as other, caplog.at_level("INFO", "nyc_taxi"):
        month = RefinedMonth.of(month_files(tmp_path, "v2"))
        run = threading.Thread(target=warehouse.replace_month, args=(month, RUN))
        run.start()
        while "waiting for it" not in caplog.text:
            assert run.is_alive()
        assert other.stdin
        other.stdin.close()
        run.join()
    assert [row.version for row in warehouse.ledger_entries()] == ["v2"]


LOADER = """
import json, sys
from pathlib import Path
from nyc_taxi.load.registry import open_destination
from nyc_taxi.model.run import Run
from nyc_taxi.model.references import MonthFiles
from nyc_taxi.settings import load_settings
from nyc_taxi.transform.refined import RefinedMonth
month = RefinedMonth.of(MonthFiles.from_dict(json.loads(sys.argv[1])).at(Path(sys.argv[3])))
open_destination(sys.argv[2], load_settings()).replace_month(month, Run("run", "cli"))
"""


def test_months_side_by_side_all_end(warehouse: DuckDb, tmp_path: Path):
    months = ["2020-01", "2020-02", "2020-03"]
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", LOADER, json.dumps(files.to_dict()), "duckdb", files.folder],
            stderr=subprocess.PIPE,
            text=True,
            cwd=PROJECT,
        )
        for files in (month_files(tmp_path, month=month, trips=500) for month in months)
    ]
    for run in runs:
        assert run.communicate()[1] == ""
    assert [(str(row.month), row.rows_loaded) for row in warehouse.ledger_entries()] == [
        (m, 500) for m in months
    ]
    assert ask(warehouse, "SELECT count(*) FROM trips_green") == [(1500,)]


# ---- kill -9


CREATED, INSERTED, COMMITTING, COMMITTED, LOADED = checked(
    "nyc_taxi.load.warehouse.duckdb.client:_create:after connect",
    "nyc_taxi.load.warehouse.duckdb.replace:_replace:return:2",
    "nyc_taxi.load.warehouse.duckdb.replace:replace_month:before commit",
    "nyc_taxi.load.warehouse.duckdb.replace:replace_month:after commit",
    "nyc_taxi.load.warehouse.duckdb.load:DuckDb.replace_month:return",
)


def test_a_run_that_is_killed_while_it_makes_the_file_leaves_none(warehouse: DuckDb, tmp_path: Path):
    """DuckDB refuses a file of which only a part was written, for ever."""
    files = month_files(tmp_path)
    load_and_kill("duckdb", files, CREATED)
    assert not warehouse.file.exists()
    assert warehouse.ledger_entries() == []
    warehouse.replace_month(RefinedMonth.of(files), RUN)
    assert len(warehouse.ledger_entries()) == 1


# ---- where it is


def test_others_cannot_hold_up_loads_by_reading_the_file(warehouse: DuckDb):
    warehouse.create_tables()
    assert warehouse.file.stat().st_mode & 0o007 == 0


def test_a_file_that_is_no_database_is_refused(workspace: Path, tmp_path: Path):
    file = tmp_path / "text.duckdb"
    file.write_text("no database" * 1000)
    with pytest.raises(DestinationError, match=r"text\.duckdb: it cannot be used .* set DUCKDB_DATABASE"):
        DuckDb(DuckDbConfig(file)).replace_month(RefinedMonth.of(month_files(tmp_path)), RUN)
    assert file.read_text().startswith("no database")


def test_a_folder_that_cannot_be_made_is_named(workspace: Path, tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DestinationError, match=r"file/below cannot be created .*: set DUCKDB_DATABASE"):
        DuckDb(DuckDbConfig(tmp_path / "file" / "below" / "x.duckdb")).replace_month(
            RefinedMonth.of(month_files(tmp_path)), RUN
        )


def test_the_configured_file_counts_from_the_project(workspace: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DUCKDB_DATABASE", "data/taxi.duckdb")
    destination = DuckDb.from_settings(load_settings())
    assert destination.file == PROJECT / "data" / "taxi.duckdb"
    assert destination.describe().startswith(f"DuckDB file {destination.file}, schema taxi")
