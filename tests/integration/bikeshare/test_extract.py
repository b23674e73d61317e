"""MySQL over its real protocol."""

from __future__ import annotations

import dataclasses
import datetime as dt
import logging
import socket
from contextlib import closing
from decimal import Decimal

import pyarrow.parquet as pq
import pytest

from nyc_taxi.errors import SchemaError, SettingsError, SourceError, SourceUnreachable, Transient
from nyc_taxi.pipelines.bikeshare import extract, sample
from nyc_taxi.pipelines.bikeshare.config import place
from nyc_taxi.pipelines.bikeshare.extract import extract_table, transact
from nyc_taxi.pipelines.bikeshare.seed import fill
from nyc_taxi.pipelines.bikeshare.tables import RawTable, raw_table
from nyc_taxi.schema import Column
from nyc_taxi.settings import settings
from tests.support.bikeshare import World

STATIONS = raw_table("stations")


@pytest.fixture
def once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No second attempt."""
    monkeypatch.setenv("TAXI_RETRIES", "1")
    settings.cache_clear()


def run(world: World, *statements: str) -> None:
    transact(world.mysql, lambda cursor: [cursor.execute(statement) for statement in statements])


def test_stations_come_out_as_they_are_ordered_and_in_batches(world: World, tmp_path, monkeypatch):
    monkeypatch.setattr(extract, "BATCH", 5)
    world.stations(sample.STATIONS[::-1])
    path = tmp_path / "stations.parquet"
    assert extract_table(world.mysql, STATIONS, path) == 24
    found = pq.read_table(path)
    assert found.schema == STATIONS.schema
    assert [tuple(row.values()) for row in found.to_pylist()] == sample.STATIONS
    first = path.read_bytes()
    extract_table(world.mysql, STATIONS, path)
    assert path.read_bytes() == first


def test_every_type_comes_out_as_it_went_in(world: World, tmp_path):
    kinds = ("int16", "int32", "int64", "float64", "string", "date", "timestamp", "instant")
    columns = [Column("id", "int64", "", required=True), *(Column(f"a_{kind}", kind, "") for kind in kinds)]
    table = RawTable("kinds", "mysql", "id", "", tuple(columns))
    moment = dt.datetime(2018, 1, 2, 3, 4, 5, 678)
    row = (1, -32768, 2**31 - 1, 2**63 - 1, 0.1, "\\ % 'ñ'", moment.date(), moment, moment)
    fill(world.mysql, table, [row, (2, *[None] * len(kinds))], "x")
    extract_table(world.mysql, table, tmp_path / "a.parquet")
    first, second = (tuple(row.values()) for row in pq.read_table(tmp_path / "a.parquet").to_pylist())
    assert first == (*row[:-1], moment.replace(tzinfo=dt.UTC))
    assert second == (2, *[None] * len(kinds))


def test_decimals_that_are_whole_fit_whole_numbers(world: World, tmp_path):
    run(
        world,
        "CREATE TABLE stations (station_id INT, name TEXT, region_id INT, capacity DECIMAL(9, 2))",
        "INSERT INTO stations VALUES (1, 'a', 2, 3)",
    )
    extract_table(world.mysql, STATIONS, tmp_path / "a.parquet")
    assert pq.read_table(tmp_path / "a.parquet").to_pylist()[0]["capacity"] == Decimal(3)
    run(world, "INSERT INTO stations VALUES (2, 'b', 2, 3.50)")
    with pytest.raises(
        SchemaError, match=r"table stations: row 2, column capacity: .* is not a whole number"
    ):
        extract_table(world.mysql, STATIONS, tmp_path / "a.parquet")


def test_a_column_that_is_not_there_is_named_and_a_new_one_is_told(world: World, tmp_path, caplog):
    run(world, "CREATE TABLE stations (station_id INT, name TEXT, region_id INT, docks INT)")
    with pytest.raises(
        SchemaError, match=r"lacks the column capacity \(it has station_id, name, region_id, docks\)"
    ):
        extract_table(world.mysql, STATIONS, tmp_path / "a.parquet")
    run(world, "DROP TABLE stations")
    world.stations()
    run(world, "ALTER TABLE stations ADD COLUMN colour TEXT")
    with caplog.at_level(logging.WARNING):
        assert extract_table(world.mysql, STATIONS, tmp_path / "a.parquet") == 24
    assert "has a column that is left behind: colour" in caplog.text


def test_what_mysql_refuses_is_said_and_not_tried_again(world: World, tmp_path):
    path = tmp_path / "a.parquet"
    with pytest.raises(
        SourceError, match=r"Table with name stations does not exist.*taxi bikeshare seed"
    ) as caught:
        extract_table(world.mysql, STATIONS, path)
    assert not isinstance(caught.value, Transient)
    wrong = dataclasses.replace(world.mysql, password="guess")
    with pytest.raises(
        SourceError, match=r"does not let the user bikeshare in.*check MYSQL_USER and"
    ) as caught:
        extract_table(wrong, STATIONS, path)
    assert not isinstance(caught.value, Transient)
    assert "guess" not in str(caught.value) + repr(wrong)
    assert list(tmp_path.iterdir()) in ([], [tmp_path / "workspace"])


def test_no_server_is_worth_another_try(world: World, tmp_path, once):
    with closing(socket.create_server(("127.0.0.1", 0))) as nobody:
        port = nobody.getsockname()[1]
    gone = dataclasses.replace(world.mysql, port=port)
    with pytest.raises(SourceUnreachable, match=rf"127.0.0.1:{port}/.* does not answer or broke off"):
        extract_table(gone, STATIONS, tmp_path / "a.parquet")


def test_a_connection_that_breaks_in_the_midst_is_tried_again(world: World, tmp_path, monkeypatch):
    """The first attempt is cut off after some rows, as when the server fails over."""
    world.stations()
    genuine, cut = extract._connect, []

    def connect_and_break(mysql):
        connection = genuine(mysql)
        if not cut:
            fetch = connection._read_bytes

            def read(number):
                if cut:
                    connection._sock.shutdown(socket.SHUT_RDWR)
                return fetch(number)

            monkeypatch.setattr(connection, "_read_bytes", read)
            cut.append(connection)
        return connection

    monkeypatch.setattr(extract, "_connect", connect_and_break)
    assert extract_table(world.mysql, STATIONS, tmp_path / "a.parquet") == 24
    assert len(cut) == 1


def test_a_fill_that_fails_leaves_the_rows_as_they_were(world: World, tmp_path):
    world.stations()
    with pytest.raises(SchemaError, match=r"row 2, column station_id: is empty"):
        world.stations([(1, "a", 1, 1), (None, "b", 1, 1)])

    def delete_and_fail(cursor):
        cursor.execute("DELETE FROM stations")
        cursor.execute("SELECT * FROM nowhere")

    with pytest.raises(SourceError):
        transact(world.mysql, delete_and_fail)
    assert extract_table(world.mysql, STATIONS, tmp_path / "a.parquet") == 24


def test_settings_that_make_no_sense_are_named(world: World, monkeypatch):
    monkeypatch.setenv("MYSQL_PORT", "mysql")
    with pytest.raises(SettingsError, match="MYSQL_PORT='mysql' is not a port"):
        _ = place().mysql
    monkeypatch.setenv("MYSQL_PORT", "3306")
    monkeypatch.setenv("MYSQL_SSL_CA", "/no/such/ca.pem")
    with pytest.raises(SettingsError, match=r"MYSQL_SSL_CA='/no/such/ca\.pem' is not a certificate's file"):
        transact(place().mysql, lambda cursor: None)
