"""`taxi bikeshare` without any setup: emulators, generated data, then data of one's own."""

from __future__ import annotations

import json
import re
from contextlib import closing
from pathlib import Path

import duckdb
import pytest
from click.testing import Result
from typer.testing import CliRunner

from nyc_taxi.cli.commands import app
from nyc_taxi.errors import NotPublished, SettingsError
from nyc_taxi.local import gcs
from nyc_taxi.pipelines.bikeshare import sample
from nyc_taxi.pipelines.bikeshare.seed import seed_files
from nyc_taxi.settings import load_settings
from tests.support.bikeshare import DAY, NEXT, Stack, configured, lines, trip


def taxi(*arguments: str, fails: type[Exception] | None = None) -> Result:
    result = CliRunner().invoke(app, ["bikeshare", *arguments])
    if fails:
        assert isinstance(result.exception, fails), result.output
    else:
        assert result.exit_code == 0, repr(result.exception)
    return result


@pytest.fixture
def alone(nothing: Path):
    """Nothing is configured; the server that was started is stopped."""
    yield nothing
    gcs.stop(nothing / "gcs")


def test_from_nothing_to_data_of_ones_own(alone: Path, tmp_path: Path):
    assert "No day is loaded yet" in taxi("status").output
    assert json.loads(taxi("status", "--json").output) == []

    assert "`taxi bikeshare seed`" in str(taxi("run", str(DAY), fails=SettingsError).exception)
    output = taxi("seed").output
    assert "bikeshare_sample.sqlite, table stations: 24 rows" in output
    assert f"gs://taxi/bikeshare_sample/raw/trips/date={DAY}/trips.json.gz" in output
    shown = taxi("run", str(DAY)).output
    assert "generated data" in shown
    assert "schema bikeshare_sample" in shown
    unseeded = taxi("run", "2018-01-05", fails=NotPublished)
    assert "generate them with `taxi bikeshare seed 2018-01-05`" in str(unseeded.exception)
    entries = {entry["table_name"]: entry for entry in json.loads(taxi("status", "--json").output)}
    assert re.search(r"raw_stations +│ +24 │", taxi("status").output), "numbers are aligned to the right"
    assert entries["raw_stations"]["row_count"] == len(sample.STATIONS)
    assert entries["raw_trips"]["row_count"] == 200
    assert entries["raw_trips"]["counts"]["trips_from_unknown_stations"] > 0
    assert entries["raw_trips"]["orchestrator"] == "cli"

    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "stations.csv").write_text('1,"One, ""at"" 1st",1,5\n3,,,0\n')
    (folder / "regions.csv").write_text("1,North\n")
    (folder / f"trips_{DAY:%Y%m%d}.json.gz").write_bytes(lines(trip(1), trip(2)))
    output = taxi("seed", "--from", str(folder)).output
    assert "bikeshare.sqlite, table stations: 2 rows" in output
    assert "gs://taxi/bikeshare/regions.csv" in output
    assert f"gs://taxi/bikeshare/raw/trips/date={DAY}/trips.json.gz" in output

    shown = taxi("run", str(DAY)).output
    assert "generated" not in shown
    with closing(duckdb.connect(alone / "warehouse.duckdb", read_only=True)) as warehouse:
        assert warehouse.execute(
            "SELECT name FROM bikeshare.dim_stations ORDER BY station_id"
        ).fetchall() == [
            ('One, "at" 1st',),
            (None,),
        ]
        assert warehouse.execute("SELECT COUNT(*) FROM bikeshare_sample.raw_trips").fetchall() == [(200,)]
    assert "generated" not in taxi("status").output

    late = taxi("run", "2018-01-05", fails=NotPublished)
    assert "have not arrived yet; request them" in str(late.exception)
    mixed = taxi("seed", "2018-01-05", fails=SettingsError)
    assert "holds real data, which generated data must not mix with" in str(mixed.exception)


def test_what_is_asked_for_wrongly_is_named(nothing: Path, tmp_path: Path, monkeypatch):
    assert "'soon' is not a day" in str(taxi("run", "soon", fails=SettingsError).exception)
    assert "has no table such as stations.csv" in str(
        taxi("seed", "--from", str(tmp_path), fails=SettingsError).exception
    )
    (tmp_path / "stations.csv").write_text("1,a,,\n")
    assert "has no trips_YYYYMMDD.json" in str(
        taxi("seed", "--from", str(tmp_path), fails=SettingsError).exception
    )
    assert "give a day or --from, not both" in str(
        taxi("seed", str(DAY), "--from", str(tmp_path), fails=SettingsError).exception
    )
    assert configured().generated
    monkeypatch.setenv("MYSQL_HOST", "db.example")
    assert not configured().generated  # somebody's database is never taken for generated data
    assert not list(nothing.glob("**/*.sqlite"))


def test_a_mysql_is_filled_where_it_is_empty_and_otherwise_left_alone(on_mariadb: Stack):
    output = taxi("seed", str(NEXT)).output
    assert f"/{on_mariadb.name}, table stations: 24 rows" in output
    assert "generated" not in taxi("run", str(NEXT)).output
    on_mariadb.sql("UPDATE stations SET name = 'Theirs'")
    on_mariadb.regions(b"1,Theirs\n")
    output = taxi("seed", str(DAY)).output
    assert output.count("already exists, not changed") == 2
    taxi("run", str(DAY))
    assert on_mariadb.ask("SELECT DISTINCT name FROM raw_stations WHERE date = '2018-01-01'") == [("Theirs",)]
    assert on_mariadb.ask("SELECT name FROM raw_regions WHERE date = '2018-01-01'") == [("Theirs",)]


@pytest.mark.real
def test_the_real_days(alone: Path, real_data: Path):
    """Both days, the second first: figures counted by hand from the files themselves."""
    seed_files(load_settings(), real_data.parent / "bikeshare")
    for day in ("2018-01-02", "2018-01-01", "2018-01-01"):
        taxi("run", day)
    entries = {
        (entry["date"], entry["table_name"]): (entry["row_count"], entry["counts"])
        for entry in json.loads(taxi("status", "--json").output)
    }
    for day, trips, stations, unknown_from, unknown_to in (
        ("2018-01-01", 1375, 223, 31, 39),
        ("2018-01-02", 3252, 248, 116, 152),
    ):
        assert entries[day, "raw_stations"] == (
            474,
            {"stations_without_region": 10, "stations_in_unknown_region": 0},
        )
        assert entries[day, "raw_regions"][0] == 6
        assert entries[day, "fact_trips_daily"][0] == stations
        rows, counts = entries[day, "raw_trips"]
        assert rows == trips
        assert counts["trips_from_unknown_stations"] == unknown_from
        assert counts["trips_to_unknown_stations"] == unknown_to
    assert entries["2018-01-02", "dim_stations"][0] == 474
    with closing(duckdb.connect(alone / "warehouse.duckdb", read_only=True)) as warehouse:
        figures = warehouse.execute(
            "SELECT SUM(trips), SUM(unknown_station_trips), SUM(total_duration_sec)"
            " FROM bikeshare.fact_trips_daily"
        ).fetchall()
        raw = warehouse.execute("SELECT SUM(duration_sec) FROM bikeshare.raw_trips").fetchall()
    assert figures == [(1375 + 3252, 31 + 116, raw[0][0])]
