"""A day from end to end, over real servers: rerun, late, out of order, wrong."""

from __future__ import annotations

import datetime as dt
import io
import json
import threading
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from nyc_taxi.errors import (
    DestinationError,
    NotPublished,
    NotTripData,
    SchemaError,
    SettingsError,
    SourceError,
    TaxiError,
    Transient,
)
from nyc_taxi.pipelines.bikeshare import bucket, flow, sample
from nyc_taxi.pipelines.bikeshare.flow import Snapshot, run_day
from nyc_taxi.pipelines.bikeshare.tables import raw_table
from nyc_taxi.settings import settings
from tests.integration.bikeshare.test_export_csv import written
from tests.support.bikeshare import DAY, NEXT, RUN, TABLES, World, lines, trip

NASTY = (1, sample.NASTY, 2, 27)


def counts(world: World, day: dt.date = DAY) -> dict[str, int]:
    """What the checks counted, and the rows of each table, as the ledger says."""
    found: dict[str, int] = {}
    for table, rows, counted in world.ask(
        f"SELECT table_name, row_count, counts FROM ledger WHERE date = '{day}'"
    ):
        found |= {table: rows, **json.loads(counted)}
    return found


def test_a_nasty_station_comes_through_unchanged(world: World):
    world.fill()
    outcome = run_day(DAY, RUN)
    expected = sorted(sample.STATIONS)
    assert world.ask("SELECT station_id, name, region_id, capacity FROM raw_stations ORDER BY 1") == expected
    assert world.ask("SELECT station_id, name, region_id, capacity FROM dim_stations ORDER BY 1") == expected
    assert world.ask(
        "SELECT name, region_name FROM dim_stations WHERE station_id <= 3 ORDER BY station_id"
    ) == [
        (sample.NASTY, "Old Town"),
        (None, "North Shore"),
        ("Depot", None),
    ]
    landed, _ = world.place.bucket.read(f"raw/stations/date={DAY}/stations.parquet")
    assert NASTY in [tuple(row.values()) for row in pq.read_table(io.BytesIO(landed)).to_pylist()]
    assert {entry.table_name for entry in outcome.entries} == set(TABLES)
    assert not outcome.place.generated


def test_figures_of_a_day(world: World):
    world.stations([(1, "One", 1, 5), (3, "Three", None, 5), (4, "Four", 77, 5)])
    world.regions(b"1,North\n")
    known = [trip(1), trip(2, duration_sec=120), trip(3, start_station_id=3, start_station_name="Old three")]
    unknown = [trip(4, start_station_id=9, start_station_name="Nine"), trip(5, start_station_id=None)]
    world.trips(lines(*known, *unknown))
    run_day(DAY, RUN)
    assert world.ask(
        "SELECT station_id, station_name, trips, unknown_station_trips, average_duration_sec,"
        " total_duration_sec"
        " FROM fact_trips_daily ORDER BY station_id NULLS LAST"
    ) == [
        (1, "One", 2, 0, 90.0, 180),
        (3, "Three", 1, 0, 60.0, 60),
        (9, "Nine", 1, 1, 60.0, 60),
        (None, "One", 1, 1, 60.0, 60),
    ]
    top = world.ask(
        "SELECT position, station_id, region_name, trips FROM top_stations_daily ORDER BY position"
    )
    assert top[:3] == [(1, 1, "North", 2), (2, 3, None, 1), (3, 9, None, 1)]
    assert counts(world) == {
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


def test_the_top_is_ten_stations_and_always_the_same(world: World):
    world.stations([(number, f"S{number}", 1, 1) for number in range(1, 15)])
    world.regions(b"1,North\n")
    world.trips(
        lines(
            *(trip(number, start_station_id=number) for number in range(1, 15)), trip(20, start_station_id=14)
        )
    )
    run_day(DAY, RUN)
    top = world.ask("SELECT station_id FROM top_stations_daily ORDER BY position")
    assert top == [(14,), *((number,) for number in range(1, 10))]


def test_run_again_it_is_the_same_and_nothing_is_loaded(world: World, caplog):
    world.fill()
    first = run_day(DAY, RUN)
    before = world.content()
    written_at = world.ask("SELECT table_name, finished_at FROM ledger ORDER BY 1")
    again = run_day(DAY, RUN)
    assert again.entries == first.entries
    assert world.content() == before
    assert world.ask("SELECT table_name, finished_at FROM ledger ORDER BY 1") == written_at


def test_the_order_of_days_makes_no_difference(world: World):
    world.fill(DAY, NEXT)
    for day in (DAY, NEXT):
        run_day(day, RUN)
    in_order = world.content()
    (world.folder / "warehouse.duckdb").unlink()
    for day in (NEXT, DAY):
        run_day(day, RUN)
    assert world.content() == in_order


def test_stations_are_those_of_the_newest_day_and_facts_those_of_their_own(world: World):
    """A station that is renamed after the first day: its first day is not told anew."""
    world.regions()
    for day, name in ((DAY, "Old"), (NEXT, "New")):
        world.trips(lines(trip(1, day), trip(2, day, start_station_id=3)), day)
        world.stations([(1, name, 1, 1), (3, "Three", 1, 1)])
        run_day(day, RUN)
    assert world.ask("SELECT name, as_of FROM dim_stations WHERE station_id = 1") == [("New", NEXT)]
    names = "SELECT date, station_name FROM fact_trips_daily WHERE station_id = 1 ORDER BY date"
    assert world.ask(names) == [(DAY, "Old"), (NEXT, "New")]
    assert world.ask("SELECT date FROM ledger WHERE table_name = 'dim_stations'") == [(NEXT,)]
    before = world.content()
    flow.load(DAY, RUN)
    flow.transform(DAY, RUN)
    assert world.content() == before


def test_trips_that_change_replace_their_day_alone(world: World):
    world.fill(DAY, NEXT)
    for day in (DAY, NEXT):
        run_day(day, RUN)
    of_next = f"FROM fact_trips_daily WHERE date = '{NEXT}' ORDER BY station_id"
    before, ledger = world.ask(of_next), world.ask(f"FROM ledger WHERE date = '{NEXT}' ORDER BY table_name")
    world.trips(lines(trip(1), trip(2)))
    run_day(DAY, RUN)
    assert world.ask(f"SELECT SUM(trips) FROM fact_trips_daily WHERE date = '{DAY}'") == [(2,)]
    assert world.ask(of_next) == before
    assert world.ask(f"FROM ledger WHERE date = '{NEXT}' ORDER BY table_name") == ledger


def test_a_day_may_come_in_several_files_of_any_name(world: World):
    world.stations()
    world.regions()
    world.trips(lines(trip(1)), name="part-1.json")  # gzipped all the same
    world.trips(json.dumps(trip(2)).encode(), name="part-2.jsonl")
    assert [uri.rpartition("/")[2] for uri in run_day(DAY, RUN).trips] == ["part-1.json", "part-2.jsonl"]
    assert world.ask("SELECT trip_id FROM raw_trips ORDER BY 1") == [("1",), ("2",)]


def test_a_late_day_is_waited_for_and_loaded_when_it_comes(world: World, monkeypatch):
    world.fill(NEXT)
    run_day(NEXT, RUN)
    looked = threading.Event()
    monkeypatch.setattr(bucket.time, "sleep", lambda _: looked.set() or world.trips(sample.trips(DAY)))
    run_day(DAY, RUN, timeout=600, poll=300)
    assert looked.is_set()
    assert world.ask("SELECT date, COUNT(*) FROM raw_trips GROUP BY date ORDER BY date") == [
        (DAY, 200),
        (NEXT, 200),
    ]


def test_a_day_that_does_not_come_is_said_and_nothing_is_loaded(world: World):
    world.fill(NEXT)
    with pytest.raises(
        NotPublished, match=rf"gs://taxi/{world.name}/bikeshare/raw/trips/date={DAY}/: .* have not come yet"
    ):
        run_day(DAY, RUN)
    with pytest.raises(NotPublished, match=r"have not come within 0 s|have not come within 1 s"):
        flow.wait_for_day(DAY, timeout=0.6, poll=0.2)
    with pytest.raises(NotPublished, match="the trips are not there yet"):
        flow.load(DAY, RUN)
    with pytest.raises(DestinationError, match="2018-01-01 is not loaded"):
        flow.transform(DAY, RUN)
    assert world.content()["raw_stations"] == []


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
        ([], "trips of 2018-01-01: there are no rows at all"),
    ],
)
def test_rows_that_are_wrong_are_refused_and_the_day_stays_as_it_was(world: World, rows, says):
    world.fill()
    run_day(DAY, RUN)
    before = world.content()
    world.trips(lines(*rows))
    with pytest.raises(SourceError, match=says) as caught:
        run_day(DAY, RUN)
    assert not isinstance(caught.value, Transient)
    assert world.content() == before


def test_other_wrong_inputs_leave_the_day_as_it_was(world: World):
    world.fill()
    run_day(DAY, RUN)
    before = world.content()
    world.stations([*sample.STATIONS, sample.STATIONS[0]])
    with pytest.raises(
        SourceError, match=r"stations of 2018-01-01: 1 rows repeat the station_id of another, such as 1"
    ):
        run_day(DAY, RUN)
    world.stations()
    world.trips(b'{"trip_id": 1}\n')
    with pytest.raises(SchemaError, match=r"trips.json.gz: row 1, column duration_sec: is empty"):
        run_day(DAY, RUN)
    world.trips(b"<html>")
    with pytest.raises(NotTripData, match=r"trips.json.gz: line 1 is not JSON"):
        run_day(DAY, RUN)
    world.regions(b"one,North\n")
    with pytest.raises(
        SchemaError, match=r"regions.csv: row 1, column region_id: 'one' is not a whole number"
    ):
        run_day(DAY, RUN)
    assert world.content() == before
    assert not list((world.folder / "bikeshare" / "load").iterdir())


def test_a_test_that_fails_in_the_warehouse_undoes_the_day(world: World, monkeypatch):
    """As when the SQL of a derived table loses trips."""
    world.fill()
    run_day(DAY, RUN)
    before = world.content()
    from nyc_taxi.pipelines.bikeshare.derived import Derived

    genuine = Derived.query.fget
    lossy = property(
        lambda self: genuine(self).replace(
            "WHERE t.date = @day", "WHERE t.date = @day AND t.duration_sec < 900"
        )
    )
    monkeypatch.setattr(Derived, "query", lossy)
    with pytest.raises(DestinationError, match="fact_trips_daily has not as many trips as raw_trips"):
        flow.transform(DAY, RUN)
    assert world.content() == before


@pytest.mark.parametrize(("escape", "name"), [("22", "stations.csv"), ("5C", "stations.csv.gz")])
def test_a_cloud_sql_export_gives_what_the_query_gives(world: World, monkeypatch, escape, name):
    import gzip

    world.fill()
    run_day(DAY, RUN)
    by_query = world.content("raw_stations", "dim_stations", "fact_trips_daily")
    (world.folder / "warehouse.duckdb").unlink()
    monkeypatch.setenv("TAXI_BIKESHARE_EXTRACT", "export")
    monkeypatch.setenv("TAXI_BIKESHARE_ESCAPE", escape)
    settings.cache_clear()
    assert [snapshot.table for snapshot in flow.extract(DAY)] == ["regions"]
    with pytest.raises(NotPublished, match=rf"stations/date={DAY}/: the stations are not there yet"):
        run_day(DAY, RUN)
    data = written(sample.STATIONS, escape)
    world.put(f"raw/stations/date={DAY}/{name}", gzip.compress(data) if name.endswith(".gz") else data)
    run_day(DAY, RUN)
    exported = world.content("raw_stations", "dim_stations", "fact_trips_daily")
    assert {**exported, "ledger": None} == {**by_query, "ledger": None}


def test_a_new_column_comes_into_tables_that_are_there(world: World, monkeypatch, tmp_path):
    import yaml

    from nyc_taxi.pipelines.bikeshare.extract import transact

    world.fill(DAY, NEXT)
    run_day(DAY, RUN)
    plain = yaml.safe_load(Path(settings().bikeshare_tables).read_text())
    plain["tables"]["stations"]["columns"].append({"name": "colour", "type": "string"})
    (tmp_path / "tables.yaml").write_text(yaml.safe_dump(plain))
    monkeypatch.setenv("TAXI_BIKESHARE_TABLES", str(tmp_path / "tables.yaml"))
    settings.cache_clear()
    transact(world.mysql, lambda cursor: cursor.execute("ALTER TABLE stations ADD COLUMN colour TEXT"))
    transact(world.mysql, lambda cursor: cursor.execute("UPDATE stations SET colour = 'red'"))
    run_day(NEXT, RUN)
    found = world.ask("SELECT DISTINCT date, colour FROM raw_stations ORDER BY date")
    assert found == [(DAY, None), (NEXT, "red")]


def test_two_runs_at_once_leave_one_day(world: World):
    world.fill()
    failed: list[Exception] = []

    def run() -> None:
        try:
            run_day(DAY, RUN)
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert world.ask("SELECT COUNT(*) FROM raw_trips") == [(200,)]
    assert world.ask("SELECT COUNT(*), COUNT(DISTINCT table_name) FROM ledger") == [(6, 6)]


def test_steps_hand_on_plain_references(world: World):
    world.fill()
    snapshots = flow.extract(DAY)
    plain = json.loads(json.dumps([snapshot.to_dict() for snapshot in snapshots]))
    back = [Snapshot.from_dict(values) for values in plain]
    assert back == snapshots
    assert flow.land(back) == [
        f"gs://taxi/{world.name}/bikeshare/raw/{name}/date={DAY}/{name}.parquet"
        for name in ("stations", "regions")
    ]
    Path(snapshots[0].path).unlink()
    with pytest.raises(
        TaxiError, match=r"stations.parquet: the extracted stations are gone; extract 2018-01-01 again"
    ):
        flow.land(back)


def test_what_cannot_be_found_is_named(world: World):
    world.stations()
    with pytest.raises(NotPublished, match=r"bikeshare/regions.csv: is not in the bucket"):
        run_day(DAY, RUN)
    with pytest.raises(SettingsError, match=r"day '1.1.2018' is not a day"):
        flow.parse_day("1.1.2018")
    with pytest.raises(SettingsError, match="day '2018-02-30' is not a day"):
        flow.parse_day("2018-02-30")
    world.regions()
    world.trips(lines(trip(1)))
    flow.land(flow.extract(DAY))
    bucket.put(world.place, bucket.snapshot_key(raw_table("stations"), DAY), b"no Parquet")
    with pytest.raises(NotTripData, match=r"stations.parquet: is not Parquet"):
        flow.load(DAY, RUN)
