"""kill -9 on the way: tables hold a whole day or the one before, and the next run makes it right."""

from __future__ import annotations

import os
from typing import Any

import pytest

from nyc_taxi.pipelines.bikeshare import sample
from nyc_taxi.pipelines.bikeshare.flow import run_day
from tests.support.bikeshare import DAY, NEXT, RUN, World, lines, trip
from tests.support.bikeshare_killed import run_and_kill

RAW = ("raw_stations", "raw_regions", "raw_trips")

PLACES = {
    # where -> tables that are new then
    "bucket.py:put:return:1": (),  # the stations are landed, the regions are not
    "warehouse/duckdb.py:_prepared:return:8": (),  # in the midst of the raw tables' transaction
    "warehouse/duckdb.py:commit:c_return:1": RAW,
    "warehouse/duckdb.py:commit:c_call:2": RAW,  # the derived tables are made, but not committed
}


@pytest.fixture
def changed(world: World) -> dict[str, Any]:
    """A day is loaded, then its stations, regions and trips change: what the tables hold until a run."""
    world.fill()
    run_day(DAY, RUN)
    before = world.content()
    world.stations([(1, "Only one", 1, 1)])
    world.regions(b"1,Only\n")
    world.trips(lines(trip(1), trip(2, start_station_id=77)))
    return before


@pytest.mark.parametrize("place", PLACES)
def test_a_killed_run_leaves_whole_days_and_the_next_makes_it_right(world: World, changed, place):
    new = {
        "raw_stations": 1,
        "raw_regions": 1,
        "raw_trips": 2,
        "dim_stations": 1,
        "fact_trips_daily": 2,
        "top_stations_daily": 2,
    }
    run_and_kill(world.environment, place)
    found = world.content()
    for table, rows in new.items():
        if table in PLACES[place]:
            assert len(found[table]) == rows, table
        else:
            assert found[table] == changed[table], table
    run_day(DAY, RUN)
    assert {table: len(rows) for table, rows in world.content(*new).items() if table != "ledger"} == new
    assert world.ask("SELECT table_name, row_count FROM ledger ORDER BY 1") == sorted(new.items())


def test_what_killed_runs_leave_behind_is_swept_away_after_a_day(world: World):
    world.fill(DAY, NEXT)
    run_and_kill(world.environment, "files.py:_arrow:return:1")
    run_and_kill(world.environment, "checks.py:check_day:return:1")
    [extracted], [loading] = (
        list((world.folder / "bikeshare" / kind).iterdir()) for kind in ("extract", "load")
    )
    run_day(NEXT, RUN)
    assert extracted.exists()  # somebody may be at work there
    for folder in (extracted, loading):
        os.utime(folder, (0, 0))
    run_day(NEXT, RUN)
    assert not extracted.exists()
    assert not loading.exists()


def test_a_first_run_that_is_killed_leaves_nothing_that_looks_loaded(world: World):
    world.fill()
    run_and_kill(world.environment, "warehouse/duckdb.py:commit:c_call:2")  # the first makes the tables
    assert {table: rows for table, rows in world.content().items() if rows} == {}
    run_day(DAY, RUN)
    assert len(world.content()["raw_trips"]) == 200
    assert len(world.content()["raw_stations"]) == len(sample.STATIONS)
