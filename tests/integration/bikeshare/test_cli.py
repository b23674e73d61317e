"""`taxi bikeshare` for somebody who has nothing: stand-ins, generated data, then data of one's own."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner, Result

from nyc_taxi.cli.commands import app
from nyc_taxi.errors import NotPublished, SettingsError
from nyc_taxi.local import gcs, mysql
from nyc_taxi.pipelines.bikeshare import sample
from nyc_taxi.pipelines.bikeshare.config import place
from nyc_taxi.pipelines.bikeshare.seed import seed
from tests.support.bikeshare import DAY, lines, trip


def taxi(*arguments: str, fails: type[Exception] | None = None) -> Result:
    result = CliRunner().invoke(app, ["bikeshare", *arguments])
    if fails:
        assert isinstance(result.exception, fails), result.output
    else:
        assert result.exit_code == 0, repr(result.exception)
    return result


@pytest.fixture
def alone(nothing: Path):
    """Nothing is configured; servers that were started are stopped."""
    yield nothing
    mysql.stop(nothing / "mysql")
    gcs.stop(nothing / "gcs")


def test_from_nothing_to_data_of_ones_own(alone: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    assert "No day is loaded yet" in taxi("status").output
    assert json.loads(taxi("status", "--json").output) == []

    shown = taxi("run", str(DAY)).output
    assert "generated data" in shown
    assert "schema bikeshare_sample" in shown
    assert "the run uses generated data, kept apart as bikeshare_sample" in caplog.text
    entries = {entry["table_name"]: entry for entry in json.loads(taxi("status", "--json").output)}
    assert entries["raw_stations"]["row_count"] == len(sample.STATIONS)
    assert entries["raw_trips"]["row_count"] == 200
    assert entries["raw_trips"]["counts"]["trips_from_unknown_stations"] > 0
    assert entries["raw_trips"]["orchestrator"] == "cli"

    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "stations.csv").write_text('1,"One, ""at"" 1st",1,5\n3,,,0\n')
    (folder / "regions.csv").write_text("1,North\n")
    (folder / f"trips_{DAY:%Y%m%d}.json.gz").write_bytes(lines(trip(1), trip(2)))
    told = taxi("seed", "--from", str(folder)).output
    assert "MySQL table stations: 2 rows" in told
    assert "MySQL table regions: 1 rows" in told
    assert f"gs://taxi/bikeshare/raw/trips/date={DAY}/trips.json.gz" in told

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
    assert "have not come yet" in str(late.exception)


def test_what_is_asked_for_wrongly_is_named(nothing: Path, tmp_path: Path, monkeypatch):
    assert "'soon' is not a day" in str(taxi("run", "soon", fails=SettingsError).exception)
    assert "has no table such as stations.csv" in str(
        taxi("seed", "--from", str(tmp_path), fails=SettingsError).exception
    )
    (tmp_path / "stations.csv").write_text("1,a,,\n")
    assert "has no trips_YYYYMMDD.json" in str(
        taxi("seed", "--from", str(tmp_path), fails=SettingsError).exception
    )
    monkeypatch.setenv("MYSQL_HOST", "db.example")
    assert "only the embedded one is filled" in str(
        taxi("seed", "--from", str(tmp_path), fails=SettingsError).exception
    )
    assert not place().generated  # somebody's database is never taken for generated data
    assert not (nothing / "mysql").exists()


@pytest.mark.real
def test_the_real_days(alone: Path, real_data: Path):
    """Both days, the second first: figures counted by hand from the files themselves."""
    seed(real_data.parent / "bikeshare")
    for day in ("2018-01-02", "2018-01-01", "2018-01-01"):
        taxi("run", day)
    held = {
        (entry["date"], entry["table_name"]): (entry["row_count"], entry["counts"])
        for entry in json.loads(taxi("status", "--json").output)
    }
    for day, trips, stations, unknown_from, unknown_to in (
        ("2018-01-01", 1375, 223, 31, 39),
        ("2018-01-02", 3252, 248, 116, 152),
    ):
        assert held[day, "raw_stations"] == (
            474,
            {"stations_without_region": 10, "stations_in_unknown_region": 0},
        )
        assert held[day, "raw_regions"][0] == 6
        assert held[day, "fact_trips_daily"][0] == stations
        rows, counts = held[day, "raw_trips"]
        assert rows == trips
        assert counts["trips_from_unknown_stations"] == unknown_from
        assert counts["trips_to_unknown_stations"] == unknown_to
    assert held["2018-01-02", "dim_stations"][0] == 474
    with closing(duckdb.connect(alone / "warehouse.duckdb", read_only=True)) as warehouse:
        figures = warehouse.execute(
            "SELECT SUM(trips), SUM(unknown_station_trips), SUM(total_duration_sec)"
            " FROM bikeshare.fact_trips_daily"
        ).fetchall()
        raw = warehouse.execute("SELECT SUM(duration_sec) FROM bikeshare.raw_trips").fetchall()
    assert figures == [(1375 + 3252, 31 + 116, raw[0][0])]
