"""The zones: both contents that TLC published, read the same and loaded everywhere."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import duckdb
import pytest

from nyc_taxi.errors import NotTripData, SchemaError
from nyc_taxi.load.postgres.config import PostgresConfig
from nyc_taxi.load.postgres.load import Postgres
from nyc_taxi.load.warehouse.duckdb.config import DuckDbConfig
from nyc_taxi.load.warehouse.duckdb.load import DuckDb
from nyc_taxi.model.months import Month, Service
from nyc_taxi.pipelines.zones import fetch_zones, load_zones, read_zones, stored_zones
from nyc_taxi.settings import load_settings
from tests.support.postgres_probe import session
from tests.support.runs import run_month
from tests.support.servers import FaultyServer

HEADER = '"LocationID","Borough","Zone","service_zone"'
CITY = '1,"EWR","Newark Airport","EWR"'
NEW = [HEADER, CITY, '264,"Unknown","N/A","N/A"', '265,"N/A","Outside of NYC","N/A"']
OLD = [HEADER, CITY, '264,"Unknown","NV","N/A"', '265,"Unknown","NA","N/A"']


def written(folder: Path, lines: list[str], name: str = "zones.csv") -> Path:
    path = folder / name
    path.write_text("\r\n".join(lines) + "\r\n")
    return path


def load_list(source: str) -> None:
    settings = load_settings()
    load_zones(stored_zones(fetch_zones(settings, source), settings), ["postgres", "duckdb"], settings)


@pytest.mark.parametrize(("lines", "last"), [(NEW, ("N/A", "Outside of NYC")), (OLD, ("Unknown", "NA"))])
def test_na_is_a_name(tmp_path: Path, lines: list[str], last: tuple[str, str]) -> None:
    rows = read_zones(written(tmp_path, lines), "abc").rows.to_pylist()
    assert [row["location_id"] for row in rows] == [1, 264, 265]
    assert (rows[2]["borough"], rows[2]["zone"], rows[2]["service_zone"]) == (*last, "N/A")


def test_what_is_no_list_of_zones_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match=r"zones\.csv: the column borough is missing"):
        read_zones(written(tmp_path, ["LocationID,Name", "1,x"]), "abc")
    with pytest.raises(NotTripData, match="names a zone twice"):
        read_zones(written(tmp_path, [HEADER, CITY, CITY]), "abc")
    with pytest.raises(NotTripData, match="cannot be read"):
        read_zones(written(tmp_path, [HEADER, 'one,"EWR","Newark Airport","EWR"']), "abc")


def test_zones_are_replaced_whole(tmp_path: Path, workspace: Path, postgres: PostgresConfig) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DUCKDB_DATABASE", str(tmp_path / "zones.duckdb"))
        for lines in (OLD, [*NEW, '2,"Queens","Jamaica Bay","Boro Zone"']):
            load_list(str(written(tmp_path, lines, f"{len(lines)}.csv")))
    expected = [(1, "Newark Airport"), (2, "Jamaica Bay"), (264, "N/A"), (265, "Outside of NYC")]
    query = "SELECT location_id, zone FROM taxi.zones ORDER BY 1"
    with session(postgres) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        assert cursor.fetchall() == expected
        cursor.execute("SELECT obj_description('taxi.zones'::regclass)")
        assert cursor.fetchone() == ("Taxi zones of New York City.",)
    with duckdb.connect(tmp_path / "zones.duckdb", read_only=True) as warehouse:
        assert warehouse.execute(query).fetchall() == expected
    assert Postgres(postgres).ledger_entries() == []
    assert DuckDb(DuckDbConfig(tmp_path / "zones.duckdb")).describe().startswith("DuckDB file")


def test_the_first_run_loads_the_shipped_zones_and_the_next_one_keeps_others(
    tmp_path: Path, workspace: Path, postgres: PostgresConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DUCKDB_DATABASE", str(tmp_path / "zones.duckdb"))

    def zones() -> list[Any]:
        query = "SELECT count(*), min(source_version) FROM taxi.zones"
        with duckdb.connect(tmp_path / "zones.duckdb", read_only=True) as warehouse:
            in_duckdb = warehouse.execute(query).fetchall()
        with session(postgres) as connection, connection.cursor() as cursor:
            cursor.execute(query)
            return [*in_duckdb, *cursor.fetchall()]

    both = ["postgres", "duckdb"]
    run_month(Service.GREEN, Month(2020, 4), "sample:20", both)
    assert zones() == [(265, "1a99e1050922")] * 2
    load_list(str(written(tmp_path, NEW)))
    run_month(Service.GREEN, Month(2020, 5), "sample:20", both)
    assert [count for count, _ in zones()] == [3, 3]


def test_a_signed_url_is_not_recorded(tmp_path: Path, workspace: Path, server: FaultyServer) -> None:
    url = server.put("/zones.csv", written(tmp_path, NEW).read_bytes())
    file = fetch_zones(load_settings(), f"{url}?X-Signature=s3cr3t")
    assert file.url == url
    noted = [path for path in workspace.rglob("*") if path.is_file() and b"s3cr3t" in path.read_bytes()]
    assert noted == []


@pytest.mark.real
def test_the_shipped_list_is_tlcs(real_data: Path) -> None:
    shipped = files("nyc_taxi.pipelines").joinpath("taxi_zone_lookup.csv").read_bytes()
    assert shipped == (real_data / "misc" / "taxi_zone_lookup.csv").read_bytes()


@pytest.mark.real
def test_both_real_lists(real_data: Path) -> None:
    lists = [
        read_zones(path, "abc").rows for path in sorted((real_data / "misc").glob("taxi_zone_lookup*.csv"))
    ]
    assert [len(rows) for rows in lists] == [265, 265]
    assert lists[0].slice(0, 263).equals(lists[1].slice(0, 263))
    assert all(rows["zone"].null_count == 0 for rows in lists)
