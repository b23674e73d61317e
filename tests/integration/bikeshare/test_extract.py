"""The application's tables, out of a real MariaDB and out of the demo's file."""

from __future__ import annotations

import dataclasses
import datetime as dt
import gzip
import logging
import socket
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from nyc_taxi.errors import SchemaError, SettingsError, SourceError, SourceUnreachable, Transient
from nyc_taxi.pipelines.bikeshare import extract, flow, sample
from nyc_taxi.pipelines.bikeshare.database import Database
from nyc_taxi.pipelines.bikeshare.export_csv import export_rows
from nyc_taxi.pipelines.bikeshare.extract import extract_table
from nyc_taxi.pipelines.bikeshare.tables import RawTable
from nyc_taxi.schema import Column
from tests.support.bikeshare import DAY, Stack, configured, raw_table
from tests.support.mariadb import TIME_ZONE, certify

STATIONS = raw_table("stations")
KINDS = ("int16", "int32", "int64", "float64", "string", "date", "timestamp", "instant")


def table_of(**kinds: str) -> RawTable:
    """A table `t` with a key and some columns, by their types."""
    columns = [Column(name, kind, "") for name, kind in kinds.items()]
    return RawTable("t", "mysql", "id", "", (Column("id", "int64", "", required=True), *columns))


def rows_of(database: Database, table: RawTable, folder: Path) -> list[tuple[Any, ...]]:
    """What is extracted."""
    extract_table(database, table, folder / "a.parquet")
    return [tuple(row.values()) for row in pq.read_table(folder / "a.parquet").to_pylist()]


@pytest.fixture
def once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No second attempt."""
    monkeypatch.setenv("TAXI_RETRIES", "1")


def test_stations_come_out_as_they_are_ordered_and_in_batches(either: Stack, tmp_path, monkeypatch):
    monkeypatch.setattr(extract, "BATCH", 5)
    either.stations(sample.STATIONS[::-1])
    path = tmp_path / "stations.parquet"
    assert extract_table(either.database, STATIONS, path) == 24
    table = pq.read_table(path)
    assert table.schema == STATIONS.schema
    assert [tuple(row.values()) for row in table.to_pylist()] == sample.STATIONS
    first = path.read_bytes()
    extract_table(either.database, STATIONS, path)
    assert path.read_bytes() == first


def test_every_type_comes_out_as_it_went_in(either: Stack, tmp_path):
    table = table_of(**{f"a_{kind}": kind for kind in KINDS})
    moment = dt.datetime(2018, 1, 2, 3, 4, 5, 678)
    row = (1, -32768, 2**31 - 1, 2**63 - 1, 0.1, "\\ % :x 'ñ'", moment.date(), moment, moment)
    either.table(table, [row, (2, *[None] * len(KINDS))])
    first, second = rows_of(either.database, table, tmp_path)
    assert first == (*row[:-1], moment.replace(tzinfo=dt.UTC))
    assert second == (2, *[None] * len(KINDS))


def test_moments_are_in_utc_wherever_the_server_is(on_mariadb: Stack, tmp_path):
    """A TIMESTAMP is a moment, told in the session's zone; a DATETIME is what its writer meant."""
    on_mariadb.mariadb.run(
        "CREATE TABLE t (id INT, at TIMESTAMP, naive DATETIME)",
        "INSERT INTO t VALUES (1, '2018-01-01 12:00:00', '2018-01-01 12:00:00')",
        database=on_mariadb.name,
    )
    [[zone]] = on_mariadb.mariadb.run("SELECT @@time_zone", database=None)
    assert zone == TIME_ZONE == "-09:30"
    [row] = rows_of(on_mariadb.database, table_of(at="instant", naive="timestamp"), tmp_path)
    assert row == (1, dt.datetime(2018, 1, 1, 21, 30, tzinfo=dt.UTC), dt.datetime(2018, 1, 1, 12))


def test_numbers_of_other_types_fit_where_they_lose_nothing(on_mariadb: Stack, tmp_path):
    on_mariadb.sql(
        "CREATE TABLE t (id INT UNSIGNED, a BIGINT UNSIGNED, b DECIMAL(9, 2), c TINYINT(1), d FLOAT)",
        "INSERT INTO t VALUES (4294967295, 9223372036854775807, 3, 1, 0.5)",
    )
    table = table_of(a="int64", b="int64", c="int16", d="float64")
    assert rows_of(on_mariadb.database, table, tmp_path) == [(2**32 - 1, 2**63 - 1, Decimal(3), 1, 0.5)]
    on_mariadb.sql("INSERT INTO t VALUES (4294967295, 9223372036854775808, 3, 1, 0.5)")
    with pytest.raises(
        SchemaError, match=r"table t: row \d, column a: 9223372036854775808 is not a whole number"
    ):
        rows_of(on_mariadb.database, table, tmp_path)
    on_mariadb.sql("DELETE FROM t", "INSERT INTO t VALUES (1, 2, 3.50, 1, 0.5)")
    with pytest.raises(SchemaError, match=r"table t: row 1, column b: .*3.50.* is not a whole number"):
        rows_of(on_mariadb.database, table, tmp_path)


@pytest.mark.parametrize(("kind", "type_of_it"), [("date", "DATE"), ("timestamp", "DATETIME")])
def test_a_zero_date_is_no_date(on_mariadb: Stack, tmp_path, kind, type_of_it):
    """MySQL of old writes 0000-00-00 for what it cannot read."""
    on_mariadb.sql(f"CREATE TABLE t (id INT, day {type_of_it})", "INSERT INTO t VALUES (1, '2018-02-30')")
    with pytest.raises(SchemaError, match=r"table t: row 1, column day: '0000-00-00.*' is not a"):
        rows_of(on_mariadb.database, table_of(day=kind), tmp_path)


def test_texts_of_any_character_set_arrive_as_they_are(on_mariadb: Stack, tmp_path):
    name = "Peña œuvre Æ"
    on_mariadb.mariadb.run(
        "CREATE TABLE t (id INT, a VARCHAR(99) CHARACTER SET latin1, b TEXT CHARACTER SET utf8mb3,"
        " c TEXT CHARACTER SET ucs2, d VARBINARY(99), e CHAR(9), f ENUM('x', 'y'))",
        f"INSERT INTO t VALUES (1, '{name}', '{name}', '{name}', '{name}', '', 'y')",
        database=on_mariadb.name,
    )
    table = table_of(**dict.fromkeys("abcdef", "string"))
    assert rows_of(on_mariadb.database, table, tmp_path) == [(1, name, name, name, name, "", "y")]


def test_a_column_that_is_missing_is_named_and_a_new_one_is_told(either: Stack, tmp_path, caplog):
    path = tmp_path / "a.parquet"
    either.sql("CREATE TABLE stations (station_id INT, name TEXT, region_id INT, docks INT)")
    with pytest.raises(
        SchemaError, match=r"lacks the column capacity \(it has station_id, name, region_id, docks\)"
    ):
        extract_table(either.database, STATIONS, path)
    either.stations()
    either.sql("ALTER TABLE stations ADD COLUMN colour TEXT")
    with caplog.at_level(logging.WARNING):
        assert extract_table(either.database, STATIONS, path) == 24
    assert "stations.colour is not extracted" in caplog.text


def test_a_table_that_is_missing_is_named_and_not_tried_again(either: Stack, tmp_path):
    with pytest.raises(SourceError, match=r"(?i)table.*stations.*taxi bikeshare seed") as caught:
        extract_table(either.database, STATIONS, tmp_path / "a.parquet")
    assert not isinstance(caught.value, Transient)
    assert not (tmp_path / "a.parquet").exists()


def test_what_mysql_refuses_is_said_and_not_tried_again(on_mariadb: Stack, tmp_path):
    path = tmp_path / "a.parquet"
    url = on_mariadb.database.url
    wrong = Database(url.set(password="guess"))
    with pytest.raises(
        SourceError, match=r"does not let the user bikeshare in.*check MYSQL_USER and"
    ) as caught:
        extract_table(wrong, STATIONS, path)
    assert not isinstance(caught.value, Transient)
    assert "guess" not in str(caught.value) + repr(wrong)
    with pytest.raises(SourceError, match="the database does not exist: set MYSQL_DATABASE"):
        extract_table(Database(url.set(database="nowhere")), STATIONS, path)
    server = on_mariadb.mariadb
    server.run("CREATE USER IF NOT EXISTS reader IDENTIFIED BY 'secret'", database=None)
    server.run(f"GRANT CREATE ON `{url.database}`.* TO reader", database=None)
    on_mariadb.stations()
    with pytest.raises(SourceError, match="grant it SELECT on the tables"):
        extract_table(Database(url.set(username="reader", password="secret")), STATIONS, path)


def test_to_select_is_all_that_it_must_be_granted(on_mariadb: Stack, tmp_path):
    on_mariadb.stations()
    on_mariadb.mariadb.run(
        f"CREATE USER {on_mariadb.name} IDENTIFIED BY 'secret'",
        f"GRANT SELECT ON `{on_mariadb.name}`.stations TO {on_mariadb.name}",
        database=None,
    )
    url = on_mariadb.database.url.set(username=on_mariadb.name, password="secret")
    assert extract_table(Database(url), STATIONS, tmp_path / "a.parquet") == 24


def test_no_server_is_worth_another_try(on_mariadb: Stack, tmp_path, once):
    with closing(socket.create_server(("127.0.0.1", 0))) as nobody:
        port = nobody.getsockname()[1]
    gone = Database(on_mariadb.database.url.set(port=port))
    with pytest.raises(
        SourceUnreachable, match=rf"127.0.0.1:{port}/.* does not answer or closed the connection"
    ):
        extract_table(gone, STATIONS, tmp_path / "a.parquet")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of PyMySQL's cursor
def test_a_connection_that_breaks_in_the_midst_is_tried_again(on_mariadb: Stack, tmp_path, monkeypatch):
    """The server ends the first one while rows are on their way, as when it fails over."""
    on_mariadb.table(table_of(a="string"), [(number, "x" * 255) for number in range(30_000)])
    killed: list[int] = []
    genuine = extract.write_parquet

    def write_and_kill(table, rows, path, what):
        def watched():
            for number, row in enumerate(rows):
                if number == 1 and not killed:
                    [[victim]] = on_mariadb.mariadb.run(
                        "SELECT id FROM information_schema.processlist WHERE db = DATABASE()"
                        " AND id <> CONNECTION_ID()",
                        database=on_mariadb.name,
                    )
                    on_mariadb.mariadb.run(f"KILL {victim}", database=None)
                    killed.append(victim)
                yield row

        return genuine(table, watched(), path, what)

    monkeypatch.setattr(extract, "write_parquet", write_and_kill)
    assert extract_table(on_mariadb.database, table_of(a="string"), tmp_path / "a.parquet") == 30_000
    assert len(killed) == 1


def test_a_certificate_is_verified_where_an_authority_is_named(on_mariadb: Stack, tmp_path, monkeypatch):
    server = on_mariadb.mariadb
    database = server.database(on_mariadb.name, str(server.folder / "ca.pem"))
    with database.connect() as connection:
        [(_, cipher)] = connection.exec_driver_sql("SHOW STATUS LIKE 'Ssl_cipher'").all()
    assert cipher
    other = dataclasses.replace(database, ssl_ca=str(certify(tmp_path)))
    with pytest.raises(SettingsError, match=r"its certificate is not signed by MYSQL_SSL_CA='.*ca\.pem'"):
        other.connect().__enter__()
    monkeypatch.setenv("MYSQL_SSL_CA", "/no/such/ca.pem")
    with (
        pytest.raises(SettingsError, match=r"MYSQL_SSL_CA='/no/such/ca\.pem' is not a certificate file"),
        configured().database.connect(),
    ):
        pass


def test_settings_that_make_no_sense_are_named(nothing, monkeypatch):
    monkeypatch.setenv("MYSQL_HOST", "db.example")
    monkeypatch.setenv("MYSQL_PORT", "mysql")
    with pytest.raises(SettingsError, match="MYSQL_PORT='mysql' is not a port"):
        _ = configured().database


def test_a_fill_that_fails_leaves_the_rows_as_they_were(stack: Stack, tmp_path):
    from nyc_taxi.pipelines.bikeshare.seed import fill

    stack.stations()
    with pytest.raises(SchemaError, match=r"row 2, column station_id: is empty"):
        fill(stack.database, STATIONS, [(1, "a", 1, 1), (None, "b", 1, 1)], "x")

    assert extract_table(stack.database, STATIONS, tmp_path / "a.parquet") == 24


def test_rows_of_a_mysql_table_are_never_replaced(on_mariadb: Stack):
    from nyc_taxi.pipelines.bikeshare.seed import fill

    on_mariadb.stations(sample.STATIONS[:2])
    assert fill(on_mariadb.database, STATIONS, sample.STATIONS, "x") is False
    assert extract.count_rows(on_mariadb.database, STATIONS) == 2


@pytest.mark.parametrize("escape", ["22", "5C"])
def test_an_export_has_the_rows_of_the_query(on_mariadb: Stack, tmp_path, escape):
    """The bytes are MariaDB's own."""
    nasty = [(30, 'N, "N,\n,"', None, 0), (31, "", 1, None), (32, "a\0b\\N\r\n\t'", 1, 1), (33, "N", 2, 3)]
    on_mariadb.stations([*sample.STATIONS, *nasty])
    data = on_mariadb.mariadb.export(extract.select(STATIONS), escape, on_mariadb.name)
    path = tmp_path / "stations.csv"
    path.write_bytes(data)
    with path.open("rb") as file:
        rows = list(export_rows(file, STATIONS, escape, "stations.csv"))
    expected = [*sample.STATIONS, *nasty]
    assert rows == [[None if value is None else str(value) for value in row] for row in expected]


@pytest.mark.parametrize(("escape", "name"), [("22", "stations.csv"), ("5C", "stations.csv.gz")])
def test_a_day_from_an_export_is_the_day_from_the_query(on_mariadb: Stack, monkeypatch, escape, name):
    stack, tables = on_mariadb, ("raw_stations", "dim_stations", "fact_trips_daily")
    stack.fill()
    stack.run(DAY)
    by_query = stack.content(*tables)
    (stack.folder / "warehouse.duckdb").unlink()
    monkeypatch.setenv("TAXI_BIKESHARE_EXTRACT", "export")
    monkeypatch.setenv("TAXI_BIKESHARE_ESCAPE", escape)
    assert [snapshot.table for snapshot in flow.extract(stack.config, DAY)] == ["regions"]
    data = stack.mariadb.export(extract.select(STATIONS), escape, stack.name)
    stack.put(f"raw/stations/date={DAY}/{name}", gzip.compress(data) if name.endswith(".gz") else data)
    stack.run(DAY)
    assert {**stack.content(*tables), "ledger": None} == {**by_query, "ledger": None}
