"""kill -9 on the way: tables hold a whole day or the one before, and the next run makes it right."""

from __future__ import annotations

import os
from typing import Any

import pytest

from nyc_taxi.pipelines.bikeshare import sample
from tests.support.bikeshare import DAY, NEXT, Stack, lines, trip
from tests.support.bikeshare_killed import run_and_kill
from tests.support.kill_points import checked

RAW = ("raw_stations", "raw_regions", "raw_trips")

ENGINE = "nyc_taxi.load.warehouse.duckdb.engine:DuckDbEngine._execute"
LANDED, IN_RAW, AFTER_RAW, IN_DERIVED, FIRST, READ, CHECKED = checked(
    "nyc_taxi.pipelines.bikeshare.bucket:put:return",  # the stations are landed, the regions are not
    # in the middle of the raw tables' transaction
    "nyc_taxi.load.warehouse.duckdb.session:DuckDbSession.execute:return:6",
    f"{ENGINE}:after commit:2",
    f"{ENGINE}:before commit:4",  # the derived tables are made, but not committed
    f"{ENGINE}:before commit:2",  # the first transaction creates the tables
    "nyc_taxi.pipelines.bikeshare.files:_arrow:return",
    "nyc_taxi.pipelines.bikeshare.checks:check_day:return",
)

NEW_TABLES = {LANDED: (), IN_RAW: (), AFTER_RAW: RAW, IN_DERIVED: RAW}
"""The tables that hold the new rows when a run is killed there."""


@pytest.fixture
def changed(stack: Stack) -> dict[str, Any]:
    """A day is loaded, then its stations, regions and trips change: what the tables hold until a run."""
    stack.fill()
    stack.run(DAY)
    before = stack.content()
    stack.stations([(1, "Only one", 1, 1)])
    stack.regions(b"1,Only\n")
    stack.trips(lines(trip(1), trip(2, start_station_id=77)))
    return before


@pytest.mark.parametrize("kill_point", NEW_TABLES)
def test_a_killed_run_leaves_whole_days_and_the_next_makes_it_right(stack: Stack, changed, kill_point):
    new = {
        "raw_stations": 1,
        "raw_regions": 1,
        "raw_trips": 2,
        "dim_stations": 1,
        "fact_trips_daily": 2,
        "top_stations_daily": 2,
    }
    run_and_kill(stack.environment, kill_point)
    content = stack.content()
    for table, rows in new.items():
        if table in NEW_TABLES[kill_point]:
            assert len(content[table]) == rows, table
        else:
            assert content[table] == changed[table], table
    stack.run(DAY)
    assert {table: len(rows) for table, rows in stack.content(*new).items() if table != "ledger"} == new
    assert stack.ask("SELECT table_name, row_count FROM ledger ORDER BY 1") == sorted(new.items())


def test_what_killed_runs_leave_behind_is_swept_away_after_a_day(stack: Stack):
    stack.fill(DAY, NEXT)
    run_and_kill(stack.environment, READ)
    run_and_kill(stack.environment, CHECKED)
    [extracted], [loading] = (
        list((stack.folder / "bikeshare" / kind).iterdir()) for kind in ("extract", "load")
    )
    stack.run(NEXT)
    assert extracted.exists()  # somebody may be at work there
    for folder in (extracted, loading):
        os.utime(folder, (0, 0))
    stack.run(NEXT)
    assert not extracted.exists()
    assert not loading.exists()


def test_a_first_run_that_is_killed_leaves_nothing_that_looks_loaded(stack: Stack):
    stack.fill()
    run_and_kill(stack.environment, FIRST)
    assert {table: rows for table, rows in stack.content().items() if rows} == {}
    stack.run(DAY)
    assert len(stack.content()["raw_trips"]) == 200
    assert len(stack.content()["raw_stations"]) == len(sample.STATIONS)
