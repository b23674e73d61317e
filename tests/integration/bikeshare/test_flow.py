"""A day from end to end, over real servers: rerun, late, out of order, wrong."""

from __future__ import annotations

import datetime as dt
import io
import json
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from nyc_taxi.errors import (
    DestinationError,
    LockTimeout,
    NotPublished,
    NotTripData,
    SchemaError,
    SettingsError,
    SourceError,
    TaxiError,
    Transient,
)
from nyc_taxi.load.warehouse.duckdb.engine import DuckDbEngine
from nyc_taxi.pipelines.bikeshare import bucket, flow, sample
from nyc_taxi.pipelines.bikeshare.config import NAME, SAMPLE, BikeshareConfig
from nyc_taxi.pipelines.bikeshare.flow import Snapshot
from nyc_taxi.settings import load_settings
from tests.support.bikeshare import DAY, NEXT, RUN, TABLES, Stack, lines, raw_table, trip

NASTY = (1, sample.NASTY, 2, 27)


def counts(stack: Stack, day: dt.date = DAY) -> dict[str, int]:
    """What the checks counted, and the rows of each table, as the ledger says."""
    totals: dict[str, int] = {}
    for table, rows, counted in stack.ask(
        f"SELECT table_name, row_count, counts FROM ledger WHERE date = '{day}'"
    ):
        totals |= {table: rows, **json.loads(counted)}
    return totals


def test_a_nasty_station_comes_through_unchanged(either: Stack):
    stack = either
    stack.fill()
    outcome = stack.run(DAY)
    expected = sorted(sample.STATIONS)
    assert stack.ask("SELECT station_id, name, region_id, capacity FROM raw_stations ORDER BY 1") == expected
    assert stack.ask("SELECT station_id, name, region_id, capacity FROM dim_stations ORDER BY 1") == expected
    assert stack.ask(
        "SELECT name, region_name FROM dim_stations WHERE station_id <= 3 ORDER BY station_id"
    ) == [
        (sample.NASTY, "Old Town"),
        (None, "North Shore"),
        ("Depot", None),
    ]
    landed = stack.config.bucket.read(f"raw/stations/date={DAY}/stations.parquet")
    assert landed
    assert NASTY in [tuple(row.values()) for row in pq.read_table(io.BytesIO(landed[0])).to_pylist()]
    assert {entry.table_name for entry in outcome.entries} == set(TABLES)
    assert not outcome.generated


def test_figures_of_a_day(stack: Stack):
    stack.stations([(1, "One", 1, 5), (3, "Three", None, 5), (4, "Four", 77, 5)])
    stack.regions(b"1,North\n")
    known = [trip(1), trip(2, duration_sec=120), trip(3, start_station_id=3, start_station_name="Old three")]
    unknown = [trip(4, start_station_id=9, start_station_name="Nine"), trip(5, start_station_id=None)]
    stack.trips(lines(*known, *unknown))
    stack.run(DAY)
    assert stack.ask(
        "SELECT station_id, station_name, trips, unknown_station_trips, average_duration_sec,"
        " total_duration_sec"
        " FROM fact_trips_daily ORDER BY station_id NULLS LAST"
    ) == [
        (1, "One", 2, 0, 90.0, 180),
        (3, "Three", 1, 0, 60.0, 60),
        (9, "Nine", 1, 1, 60.0, 60),
        (None, "One", 1, 1, 60.0, 60),
    ]
    top = stack.ask(
        "SELECT position, station_id, region_name, trips FROM top_stations_daily ORDER BY position"
    )
    assert top[:3] == [(1, 1, "North", 2), (2, 3, None, 1), (3, 9, None, 1)]
    assert counts(stack) == {
        "raw_stations": 3,
        "raw_regions": 1,
        "raw_trips": 5,
        "dim_stations": 3,
        "fact_trips_daily": 4,
        "top_stations_daily": 4,
        "stations_without_region": 1,
        "stations_in_unknown_region": 1,
        "trips_from_unknown_stations": 2,
        "trips_to_unknown_stations": 0,
        "trips_of_another_day": 0,
        "trips_of_no_length": 0,
    }


def test_the_top_is_ten_stations_and_always_the_same(stack: Stack):
    stack.stations([(number, f"S{number}", 1, 1) for number in range(1, 15)])
    stack.regions(b"1,North\n")
    stack.trips(
        lines(
            *(trip(number, start_station_id=number) for number in range(1, 15)), trip(20, start_station_id=14)
        )
    )
    stack.run(DAY)
    top = stack.ask("SELECT station_id FROM top_stations_daily ORDER BY position")
    assert top == [(14,), *((number,) for number in range(1, 10))]


def test_run_again_it_is_the_same_and_nothing_is_loaded(stack: Stack, caplog):
    stack.fill()
    first = stack.run(DAY)
    before = stack.content()
    written_at = stack.ask("SELECT table_name, finished_at FROM ledger ORDER BY 1")
    again = stack.run(DAY)
    assert again.entries == first.entries
    assert stack.content() == before
    assert stack.ask("SELECT table_name, finished_at FROM ledger ORDER BY 1") == written_at


def test_a_day_waits_for_other_days_that_are_committed_first(stack: Stack, monkeypatch):
    """BigQuery cancels all transactions but one at once; seven other days may be loaded at the same time."""
    stack.fill()
    monkeypatch.setenv("TAXI_RETRIES", "1")
    monkeypatch.setattr(time, "sleep", lambda _: None)
    conflicts: Counter[str] = Counter()
    transact = DuckDbEngine.transact

    def transact_after_others(engine: DuckDbEngine, *arguments: Any) -> None:
        name = arguments[-1]
        conflicts[name] += 1
        if conflicts[name] < 8:
            raise LockTimeout("conflicting changes keep committing")
        transact(engine, *arguments)

    monkeypatch.setattr(DuckDbEngine, "transact", transact_after_others)
    stack.run(DAY)
    assert list(conflicts.values()) == [8, 8], "of the load and of the transformation"


def test_the_order_of_days_makes_no_difference(stack: Stack):
    stack.fill(DAY, NEXT)
    for day in (DAY, NEXT):
        stack.run(day)
    in_order = stack.content()
    (stack.folder / "warehouse.duckdb").unlink()
    for day in (NEXT, DAY):
        stack.run(day)
    assert stack.content() == in_order


def test_stations_are_those_of_the_newest_day_and_facts_those_of_their_own(stack: Stack):
    """A station that is renamed after the first day: its first day is not told anew."""
    stack.regions()
    for day, name in ((DAY, "Old"), (NEXT, "New")):
        stack.trips(lines(trip(1, day), trip(2, day, start_station_id=3)), day)
        stack.stations([(1, name, 1, 1), (3, "Three", 1, 1)])
        stack.run(day)
    assert stack.ask("SELECT name, as_of FROM dim_stations WHERE station_id = 1") == [("New", NEXT)]
    names = "SELECT date, station_name FROM fact_trips_daily WHERE station_id = 1 ORDER BY date"
    assert stack.ask(names) == [(DAY, "Old"), (NEXT, "New")]
    assert stack.ask("SELECT date FROM ledger WHERE table_name = 'dim_stations'") == [(NEXT,)]
    before = stack.content()
    flow.load(stack.config, DAY, RUN)
    flow.transform(stack.config, DAY, RUN)
    assert stack.content() == before


def test_trips_that_change_replace_their_day_alone(stack: Stack):
    stack.fill(DAY, NEXT)
    for day in (DAY, NEXT):
        stack.run(day)
    of_next = f"FROM fact_trips_daily WHERE date = '{NEXT}' ORDER BY station_id"
    before, ledger = (
        stack.ask(of_next),
        stack.ask(f"FROM ledger WHERE date = '{NEXT}' ORDER BY table_name"),
    )
    stack.trips(lines(trip(1), trip(2)))
    stack.run(DAY)
    assert stack.ask(f"SELECT SUM(trips) FROM fact_trips_daily WHERE date = '{DAY}'") == [(2,)]
    assert stack.ask(of_next) == before
    assert stack.ask(f"FROM ledger WHERE date = '{NEXT}' ORDER BY table_name") == ledger


def test_a_day_may_come_in_several_files_of_any_name(stack: Stack):
    stack.stations()
    stack.regions()
    stack.trips(lines(trip(1)), name="part-1.json")  # gzipped all the same
    stack.trips(json.dumps(trip(2)).encode(), name="part-2.jsonl")
    assert [uri.rpartition("/")[2] for uri in stack.run(DAY).trips] == ["part-1.json", "part-2.jsonl"]
    assert stack.ask("SELECT trip_id FROM raw_trips ORDER BY 1") == [("1",), ("2",)]


def test_a_late_day_is_waited_for_and_loaded_when_it_comes(stack: Stack, monkeypatch):
    stack.fill(NEXT)
    stack.run(NEXT)
    looked = threading.Event()
    monkeypatch.setattr(bucket.time, "sleep", lambda _: looked.set() or stack.trips(sample.trips(DAY)))
    stack.run(DAY, timeout=600, poll=300)
    assert looked.is_set()
    assert stack.ask("SELECT date, COUNT(*) FROM raw_trips GROUP BY date ORDER BY date") == [
        (DAY, 200),
        (NEXT, 200),
    ]


def test_a_day_that_does_not_come_is_said_and_nothing_is_loaded(stack: Stack):
    stack.fill(NEXT)
    with pytest.raises(
        NotPublished,
        match=rf"gs://taxi/{stack.name}/bikeshare/raw/trips/date={DAY}/: .* have not arrived yet",
    ):
        stack.run(DAY)
    with pytest.raises(NotPublished, match=r"have not arrived within 0 s|have not arrived within 1 s"):
        flow.wait_for_day(stack.config, DAY, timeout=0.6, poll=0.2)
    with pytest.raises(NotPublished, match="the trips have not arrived yet"):
        flow.load(stack.config, DAY, RUN)
    with pytest.raises(DestinationError, match="2018-01-01 is not loaded"):
        flow.transform(stack.config, DAY, RUN)
    assert stack.content()["raw_stations"] == []


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (
            [trip(1), trip(2), trip(1)],
            "trips of 2018-01-01: 1 rows repeat the trip_id of another, such as '1'",
        ),
        ([trip(1, NEXT)], "1 trips of another day. They would be counted"),
        ([trip(1, start_date=f"{NEXT} 00:00:00 UTC")], "1 trips of another day"),
        ([trip(1, duration_sec=0)], "1 trips of no length"),
        ([], "trips of 2018-01-01: the table has no rows"),
    ],
)
def test_rows_that_are_wrong_are_refused_and_the_day_stays_as_it_was(stack: Stack, rows, says):
    stack.fill()
    stack.run(DAY)
    before = stack.content()
    stack.trips(lines(*rows))
    with pytest.raises(SourceError, match=says) as caught:
        stack.run(DAY)
    assert not isinstance(caught.value, Transient)
    assert stack.content() == before


def test_other_wrong_inputs_leave_the_day_as_it_was(stack: Stack):
    stack.fill()
    stack.run(DAY)
    before = stack.content()
    stack.stations([*sample.STATIONS, sample.STATIONS[0]])
    with pytest.raises(
        SourceError, match=r"stations of 2018-01-01: 1 rows repeat the station_id of another, such as 1"
    ):
        stack.run(DAY)
    stack.stations()
    stack.trips(b'{"trip_id": 1}\n')
    with pytest.raises(SchemaError, match=r"trips.json.gz: row 1, column duration_sec: is empty"):
        stack.run(DAY)
    stack.trips(b"<html>")
    with pytest.raises(NotTripData, match=r"trips.json.gz: line 1 is not JSON"):
        stack.run(DAY)
    stack.regions(b"one,North\n")
    with pytest.raises(
        SchemaError, match=r"regions.csv: row 1, column region_id: 'one' is not a whole number"
    ):
        stack.run(DAY)
    assert stack.content() == before
    assert not list((stack.folder / "bikeshare" / "load").iterdir())


def test_a_test_that_fails_in_the_warehouse_undoes_the_day(stack: Stack, monkeypatch):
    """As when the SQL of a derived table loses trips."""
    stack.fill()
    stack.run(DAY)
    before = stack.content()
    from nyc_taxi.pipelines.bikeshare.derived import Derived

    genuine = Derived.__dict__["query"].fget
    lossy = property(
        lambda self: genuine(self).replace(
            "WHERE t.date = @day", "WHERE t.date = @day AND t.duration_sec < 900"
        )
    )
    monkeypatch.setattr(Derived, "query", lossy)
    with pytest.raises(DestinationError, match="fact_trips_daily has more or fewer trips than raw_trips"):
        flow.transform(stack.config, DAY, RUN)
    assert stack.content() == before


def test_the_same_bytes_with_another_escape_are_other_rows(stack: Stack, monkeypatch):
    stack.fill()
    monkeypatch.setenv("TAXI_BIKESHARE_EXTRACT", "export")
    stack.put(f"raw/stations/date={DAY}/stations.csv", rb'1,"a\\b",1,5' + b"\n")
    for escape, name in (("22", r"a\\b"), ("5C", r"a\b"), ("22", r"a\\b")):
        monkeypatch.setenv("TAXI_BIKESHARE_ESCAPE", escape)
        stack.run(DAY)
        assert stack.ask("SELECT name FROM raw_stations") == stack.ask("SELECT name FROM dim_stations")
        assert stack.ask("SELECT name FROM raw_stations") == [(name,)]


def test_a_snapshot_that_has_not_changed_is_not_written_again(stack: Stack):
    stack.fill()
    keys = [f"raw/{name}/date={DAY}/{name}.parquet" for name in ("stations", "regions")]

    def generations() -> list[str]:
        return [stack.config.bucket.head(key).tag for key in keys]

    flow.land(stack.config, flow.extract(stack.config, DAY))
    first = generations()
    flow.land(stack.config, flow.extract(stack.config, DAY))
    assert generations() == first
    stack.stations(sample.STATIONS[1:])
    flow.land(stack.config, flow.extract(stack.config, DAY))
    assert generations()[0] != first[0]
    assert generations()[1] == first[1]


def test_without_a_database_a_run_says_what_to_do_and_writes_nothing(nothing, gcs_server, monkeypatch):
    stack = Stack(gcs_server, nothing)
    stack.lead(monkeypatch)
    with pytest.raises(SettingsError, match=r"set MYSQL_HOST .* or generate .* `taxi bikeshare seed`\.$"):
        stack.run(DAY)
    for name in (NAME, SAMPLE):
        assert list(BikeshareConfig(name, load_settings()).bucket.keys("")) == []
    assert [path for path in nothing.rglob("*") if path.is_file()] == []


def test_an_export_is_loaded_again_when_its_escape_character_is_another(stack: Stack, monkeypatch):
    monkeypatch.setenv("TAXI_BIKESHARE_EXTRACT", "export")
    stack.regions()
    stack.trips(lines(trip(1)))
    stack.put(f"raw/stations/date={DAY}/stations.csv", rb'1,"Slash \\ Street",1,20' + b"\n")
    names = {}
    for escape in ("22", "5C"):
        monkeypatch.setenv("TAXI_BIKESHARE_ESCAPE", escape)
        stack.run(DAY)
        names[escape] = stack.ask("SELECT name FROM raw_stations")
    assert names == {"22": [(r"Slash \\ Street",)], "5C": [(r"Slash \ Street",)]}


def test_an_object_is_written_only_when_its_bytes_have_changed(stack: Stack):
    key = f"raw/stations/date={DAY}/stations.parquet"
    assert bucket.put(stack.config, key, b"some rows")
    first = stack.config.bucket.head(key)
    assert not bucket.put(stack.config, key, b"some rows")
    assert stack.config.bucket.head(key) == first
    assert bucket.put(stack.config, key, b"other rows")
    assert stack.config.bucket.head(key) != first


def test_a_new_column_comes_into_tables_that_are_there(stack: Stack, monkeypatch, tmp_path):
    import yaml

    stack.fill(DAY, NEXT)
    stack.run(DAY)
    plain = yaml.safe_load(Path(load_settings().bikeshare_tables).read_text())
    plain["tables"]["stations"]["columns"].append({"name": "colour", "type": "string"})
    (tmp_path / "tables.yaml").write_text(yaml.safe_dump(plain))
    monkeypatch.setenv("TAXI_BIKESHARE_TABLES", str(tmp_path / "tables.yaml"))
    stack.sql("ALTER TABLE stations ADD COLUMN colour TEXT", "UPDATE stations SET colour = 'red'")
    stack.run(NEXT)
    colours = stack.ask("SELECT DISTINCT date, colour FROM raw_stations ORDER BY date")
    assert colours == [(DAY, None), (NEXT, "red")]


def test_two_runs_at_once_leave_one_day(stack: Stack):
    stack.fill()
    failed: list[Exception] = []

    def run() -> None:
        try:
            stack.run(DAY)
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert stack.ask("SELECT COUNT(*) FROM raw_trips") == [(200,)]
    assert stack.ask("SELECT COUNT(*), COUNT(DISTINCT table_name) FROM ledger") == [(6, 6)]


def test_steps_hand_on_plain_references(stack: Stack):
    stack.fill()
    snapshots = flow.extract(stack.config, DAY)
    plain = json.loads(json.dumps([snapshot.to_dict() for snapshot in snapshots]))
    back = [Snapshot.from_dict(values) for values in plain]
    assert back == snapshots
    assert flow.land(stack.config, back) == [
        f"gs://taxi/{stack.name}/bikeshare/raw/{name}/date={DAY}/{name}.parquet"
        for name in ("stations", "regions")
    ]
    Path(snapshots[0].path).unlink()
    with pytest.raises(
        TaxiError, match=r"stations.parquet: the extracted stations no longer exist; extract 2018-01-01 again"
    ):
        flow.land(stack.config, back)


def test_what_cannot_be_found_is_named(stack: Stack):
    stack.stations()
    with pytest.raises(NotPublished, match=r"bikeshare/regions.csv: is not in the bucket"):
        stack.run(DAY)
    with pytest.raises(SettingsError, match=r"day '1.1.2018' is not a day"):
        flow.parse_day("1.1.2018")
    with pytest.raises(SettingsError, match="day '2018-02-30' is not a day"):
        flow.parse_day("2018-02-30")
    stack.regions()
    stack.trips(lines(trip(1)))
    flow.land(stack.config, flow.extract(stack.config, DAY))
    bucket.put(stack.config, bucket.snapshot_key(raw_table("stations"), DAY), b"no Parquet")
    with pytest.raises(NotTripData, match=r"stations.parquet: is not Parquet"):
        flow.load(stack.config, DAY, RUN)
