"""The embedded MySQL server: one per folder, for any client, and it comes back after anything."""

from __future__ import annotations

import datetime as dt
import decimal
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pymysql
import pytest
from pymysql.cursors import SSCursor

from nyc_taxi.errors import SourceError
from nyc_taxi.local import mysql
from nyc_taxi.settings import PROJECT
from tests.support.waiting import until

NASTY = "A, \"quoted\" 'x' back\\slash %s\r\nsecond line\tñ 駅 🚲 \\N"

ENSURE = """
import json, sys
from pathlib import Path
from nyc_taxi.local import mysql
server = mysql.ensure(Path(sys.argv[1]))
print(json.dumps([server.port, server.started]))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Where a server may be started; it is stopped afterwards."""
    yield tmp_path / "mysql"
    mysql.stop(tmp_path / "mysql")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[mysql.Server]:
    """One server for tests that only talk to it."""
    folder = tmp_path_factory.mktemp("mysql")
    yield mysql.ensure(folder)
    mysql.stop(folder)


def ask(server: mysql.Server, *statements: str, database: str = "test") -> list[tuple]:
    """The rows of the last statement; all is committed."""
    with closing(server.connect(database)) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        connection.commit()
        return list(cursor.fetchall())


def kill(folder: Path) -> None:
    """kill -9 of the folder's server."""
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        command = entry.read_bytes().split(b"\0") if entry.exists() else []
        if b"nyc_taxi.local.mysql_server" in command and str(folder).encode() in command:
            os.kill(int(entry.parent.name), signal.SIGKILL)
            until(lambda: mysql.running(folder) is None)
            return
    raise AssertionError("no such server")


def test_start_reuse_stop(folder: Path) -> None:
    assert mysql.running(folder) is None
    assert mysql.stop(folder) is False
    assert not folder.exists()  # asking leaves nothing behind

    server = mysql.ensure(folder)
    assert server.started
    assert server.host == "127.0.0.1"
    again = mysql.ensure(folder)
    assert not again.started
    assert (again.port, again.password) == (server.port, server.password)
    assert mysql.running(folder) == again
    ask(server, "CREATE TABLE kept (answer INT)", "INSERT INTO kept VALUES (42)")

    assert mysql.stop(folder) is True
    assert mysql.stop(folder) is False
    assert mysql.running(folder) is None
    started_anew = mysql.ensure(folder)
    assert (started_anew.port, started_anew.password) == (server.port, server.password)
    assert ask(started_anew, "SELECT answer FROM kept") == [(42,)]


def test_processes_that_start_it_at_once_get_one_server_that_outlives_them(folder: Path) -> None:
    command = [sys.executable, "-c", ENSURE, str(folder)]
    callers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=PROJECT) for _ in range(3)]
    answers = [json.loads(caller.communicate()[0]) for caller in callers]
    assert sorted(started for _, started in answers) == [False, False, True]
    assert len({port for port, _ in answers}) == 1
    assert mysql.running(folder).port == answers[0][0]


def test_after_a_kill_it_has_what_was_committed_and_nothing_else(folder: Path) -> None:
    server = mysql.ensure(folder)
    ask(server, "CREATE TABLE kept (answer INT)", "INSERT INTO kept VALUES (42)")
    with closing(server.connect("test")) as connection:
        connection.cursor().execute("INSERT INTO kept VALUES (43)")
        kill(folder)
    again = mysql.ensure(folder)
    assert again.started
    assert ask(again, "SELECT answer FROM kept") == [(42,)]


def test_a_port_that_another_program_took_is_left_to_it(folder: Path) -> None:
    port = mysql.ensure(folder).port
    mysql.stop(folder)
    with socket.create_server(("127.0.0.1", port)):
        server = mysql.ensure(folder)
        assert server.port != port
    assert ask(server, "SELECT 1") == [(1,)]


def test_a_server_that_does_not_start_says_why(folder: Path) -> None:
    folder.mkdir()
    (folder / "data.duckdb").write_text("not a database, but long enough to be looked at as one" * 100)
    with pytest.raises(
        SourceError, match=r"did not start: .*it is not a valid DuckDB database file.*server\.log"
    ):
        mysql.ensure(folder)


def test_only_the_password_opens_it(server: mysql.Server) -> None:
    for user, password in ((server.user, "guess"), (server.user, ""), ("root", server.password)):
        with pytest.raises(pymysql.OperationalError):
            pymysql.connect(host=server.host, port=server.port, user=user, password=password)
    assert server.password not in repr(server)
    assert stat.S_IMODE((server.folder / "password").stat().st_mode) == 0o600


def test_a_client_that_ignores_the_refusal_is_not_served(server: mysql.Server, monkeypatch) -> None:
    """As mysql-mimic alone would."""
    from pymysql.connections import Connection

    def authenticate_and_go_on(self):
        with pytest.raises(pymysql.OperationalError, match="Access denied"):
            genuine(self)

    genuine = Connection._request_authentication
    monkeypatch.setattr(Connection, "_request_authentication", authenticate_and_go_on)
    with pytest.raises(pymysql.MySQLError):
        pymysql.connect(host=server.host, port=server.port, user=server.user, password="guess").ping()


def test_values_come_back_as_they_went(server: mysql.Server) -> None:
    row = (1, NASTY, None, "", decimal.Decimal("1.25"), dt.datetime(2018, 1, 2, 3, 4, 5), dt.date(2018, 1, 1))
    ask(
        server,
        "CREATE TABLE things (id BIGINT NOT NULL PRIMARY KEY, name TEXT, nothing VARCHAR(9), empty TEXT,"
        " price DECIMAL(10, 2), at DATETIME, day DATE) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4",
    )
    with closing(server.connect("test")) as connection, connection.cursor(SSCursor) as cursor:
        cursor.executemany(f"INSERT INTO things VALUES ({', '.join(['%s'] * len(row))})", [row])
        cursor.execute("SELECT * FROM `things` WHERE `name` = %s ORDER BY `id`", [NASTY])
        assert list(cursor) == [row]


def test_transactions_are_kept_apart_and_undone(server: mysql.Server) -> None:
    ask(server, "CREATE TABLE counted (number INT)")
    with closing(server.connect("test")) as one, closing(server.connect("test")) as other:
        reading = other.cursor()
        one.cursor().execute("INSERT INTO counted VALUES (1)")
        reading.execute("SELECT COUNT(*) FROM counted")
        assert reading.fetchall() == ((0,),)
        one.rollback()
        one.cursor().execute("INSERT INTO counted VALUES (2)")
        one.commit()
        other.commit()
        reading.execute("SELECT number FROM counted")
        assert reading.fetchall() == ((2,),)


def test_databases_are_kept_apart_and_listed(server: mysql.Server) -> None:
    ask(server, "CREATE TABLE here (a INT, b VARCHAR(9))", database="one")
    assert ask(server, "SHOW TABLES", database="one") == [("here",)]
    assert [row[:2] for row in ask(server, "DESCRIBE here", database="one")] == [
        ("a", "integer"),
        ("b", "varchar"),
    ]
    assert ask(server, "SHOW TABLES", database="two") == []


def test_errors_have_mysqls_numbers(server: mysql.Server) -> None:
    for statement, number in (("SELECT * FROM nowhere", 1146), ("SELEC 1", 1064)):
        with pytest.raises(pymysql.MySQLError) as caught:
            ask(server, statement)
        assert caught.value.args[0] == number


def test_many_rows_stream(server: mysql.Server) -> None:
    ask(server, "CREATE TABLE many AS SELECT * FROM range(25000)")
    with closing(server.connect("test")) as connection, connection.cursor(SSCursor) as cursor:
        cursor.execute("SELECT * FROM many")
        assert sum(1 for _ in cursor) == 25_000
