"""The embedded server: one per folder, whoever starts it, and it comes back after anything."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psycopg2
import pytest
import sqlalchemy

from nyc_taxi.errors import DestinationError
from nyc_taxi.local import postgres, postgres_cluster, process, unprivileged
from nyc_taxi.local.postgres_cluster import Cluster
from nyc_taxi.local.postgres_programs import find
from nyc_taxi.settings import PROJECT
from tests.support.postgres_probe import admin_url, drop_database
from tests.support.waiting import until

ROOT = os.geteuid() == 0
only_root = pytest.mark.skipif(not ROOT, reason="only root becomes another account")

ENSURE = """
import json, sys
from pathlib import Path
from nyc_taxi.local import postgres
server = postgres.ensure(Path(sys.argv[1]))
print(json.dumps([server.port, server.started, server.url]))
"""


@pytest.fixture
def new_folder(open_folder: Path) -> Iterator[Path]:
    """Where a server may be made; it is stopped afterwards."""
    yield open_folder / "postgres"
    postgres.stop(open_folder / "postgres")


@pytest.fixture(scope="module")
def initialized() -> Iterator[Path]:
    """A server's folder, made once: initdb waits for the disk hundreds of times."""
    folder = Path(tempfile.mkdtemp(prefix="nyc-taxi-"))
    folder.chmod(0o711)
    postgres.ensure(folder / "postgres")
    postgres.stop(folder / "postgres")
    yield folder / "postgres"
    shutil.rmtree(folder)


@pytest.fixture
def folder(initialized: Path, new_folder: Path) -> Path:
    """A folder with a server's data, as after a clean stop."""
    subprocess.run(["cp", "-a", initialized, new_folder], check=True)  # with its owners, unlike shutil
    return new_folder


def ask(server: postgres.Server, sql: str) -> object:
    with closing(psycopg2.connect(server.url)) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute(sql)
        return cursor.fetchone()[0] if cursor.description else None


def kill(folder: Path) -> int:
    """kill -9 of the server; returns the number its process had."""
    pid = int((folder / "cluster/data/postmaster.pid").read_text().split()[0])
    os.kill(pid, signal.SIGKILL)
    return pid


def ensure_elsewhere(folder: Path) -> subprocess.Popen[str]:
    """`ensure` in a process of its own."""
    command = [sys.executable, "-c", ENSURE, str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=PROJECT)


def test_start_reuse_stop(new_folder: Path) -> None:
    assert postgres.running(new_folder) is None
    assert postgres.stop(new_folder) is False
    assert not new_folder.exists()  # asking leaves nothing behind

    server = postgres.ensure(new_folder)
    assert server.started
    assert (server.host, server.dbname, server.user, server.folder) == (
        "127.0.0.1",
        "taxi",
        "taxi_loader",
        new_folder,
    )
    again = postgres.ensure(new_folder)
    assert not again.started
    assert again.url == server.url
    assert postgres.running(new_folder) == again

    assert postgres.stop(new_folder) is True
    assert postgres.stop(new_folder) is False
    assert postgres.running(new_folder) is None
    assert postgres.ensure(new_folder).url == server.url  # the same port and password as before


def test_clients_get_in_with_the_url_and_with_the_environment(folder: Path) -> None:
    server = postgres.ensure(folder)
    with sqlalchemy.create_engine(server.url).connect() as connection:
        assert connection.scalar(sqlalchemy.text("SELECT current_database()")) == "taxi"
    environment = server.environment()
    assert set(environment) == {f"POSTGRES_{name}" for name in ("HOST", "PORT", "DBNAME", "USER", "PASSWORD")}
    options = {name.removeprefix("POSTGRES_").lower(): value for name, value in environment.items()}
    psycopg2.connect(" ".join(f"{name}={value}" for name, value in options.items())).close()


def test_it_is_durable_plain_and_closed(folder: Path) -> None:
    server = postgres.ensure(folder)
    settings = {
        name: ask(server, f"SHOW {name}") for name in ("fsync", "full_page_writes", "synchronous_commit")
    }
    assert set(settings.values()) == {"on"}
    assert ask(server, "SHOW listen_addresses") == "127.0.0.1"
    assert ask(server, "SHOW server_encoding") == "UTF8"
    assert ask(server, "SELECT datcollate FROM pg_database WHERE datname = 'taxi'") == "C"
    assert ask(server, "SHOW max_wal_size") == "2GB"  # the settings' file is read
    if sys.platform == "linux":
        assert ask(server, "SHOW recovery_init_sync_method") == "syncfs"

    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        psycopg2.connect(server.url.replace(server.password, "guess"))
    assert server.password not in repr(server)
    cluster = folder / "cluster"
    assert stat.S_IMODE(cluster.stat().st_mode) == 0o700
    secrets = [*cluster.glob("password*"), server.service_file]
    assert len(secrets) == 4
    assert {stat.S_IMODE(file.stat().st_mode) for file in secrets} == {0o600}


def read(server: postgres.Server, sql: str) -> str:
    """What psql prints, used as `make run` says; raises CalledProcessError when it fails."""
    program = find(server.folder / "cluster" / "data", unprivileged.Account()) / "psql"
    command = [str(program), "service=taxi", "-Atc", sql]
    environment = {"PGSERVICEFILE": str(server.service_file)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_loader_owns_the_database_and_the_reader_reads(folder: Path) -> None:
    server = postgres.ensure(folder)
    may = "SELECT rolsuper OR rolcreaterole OR rolcreatedb FROM pg_roles WHERE rolname = current_user"
    assert ask(server, may) is False
    ask(server, "CREATE SCHEMA later; CREATE TABLE later.trips AS SELECT 42 AS n")
    ask(server, "CREATE VIEW later.v AS TABLE later.trips")
    ask(server, "CREATE TABLE public.of_airflow (n int)")
    assert read(server, "SELECT current_user, n FROM later.v") == "taxi_reader|42"
    for refused in (
        "SELECT FROM public.of_airflow",
        "DELETE FROM later.trips",
        "SET TRANSACTION READ WRITE; DELETE FROM later.trips",
        "SET TRANSACTION READ WRITE; CREATE TABLE later.mine ()",
        "SET TRANSACTION READ WRITE; CREATE TABLE public.mine ()",
        "COPY later.trips TO PROGRAM 'cat'",
        "SELECT pg_read_file('/etc/passwd')",
        # what PostgreSQL lets every role do
        "SET TRANSACTION READ WRITE; SELECT lo_from_bytea(0, 'x')",
        "SET TRANSACTION READ WRITE; SELECT lo_creat(-1)",
        "CREATE TEMP TABLE mine (n int)",
        "SET temp_file_limit = -1",
        "SELECT pg_advisory_lock(1)",
        "SELECT pg_try_advisory_xact_lock(1, 2)",
    ):
        with pytest.raises(subprocess.CalledProcessError):
            read(server, refused)
    assert ask(server, "SELECT pg_try_advisory_xact_lock(1, 2)") is True
    for refused in (
        "COPY later.trips TO PROGRAM 'cat'",
        "SELECT pg_read_file('/etc/passwd')",
        "CREATE ROLE x",
    ):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            ask(server, refused)


@pytest.mark.parametrize("dbname", ["postgres", "template1"])
def test_only_the_loaders_database_is_open(folder: Path, dbname: str) -> None:
    """The reader could create large objects and temporary tables in the others."""
    server = replace(postgres.ensure(folder), dbname=dbname)
    with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
        ask(server, "SELECT 1")


def test_what_the_reader_changed_of_itself_is_undone_at_the_next_start(folder: Path) -> None:
    server = postgres.ensure(folder)
    own = "ALTER ROLE taxi_reader PASSWORD 'mine'; ALTER ROLE taxi_reader SET statement_timeout = 1"
    here = "ALTER ROLE taxi_reader IN DATABASE taxi SET statement_timeout = 1"
    read(server, f"SET TRANSACTION READ WRITE; {own}; {here}")
    postgres.stop(folder)
    assert read(postgres.ensure(folder), "SHOW statement_timeout") == "0"


def test_the_reader_dumps_the_tables_also_of_servers_that_did_not_let_it(folder: Path) -> None:
    server = postgres.ensure(folder)
    ask(server, "CREATE SCHEMA later; CREATE TABLE later.trips (id bigint GENERATED ALWAYS AS IDENTITY)")
    ask(server, "REVOKE SELECT ON SEQUENCE later.trips_id_seq FROM taxi_reader")  # as earlier versions had it
    postgres.stop(folder)

    server = postgres.ensure(folder)
    ask(server, "CREATE TABLE later.zones (id bigserial)")
    program = find(server.folder / "cluster" / "data", unprivileged.Account()) / "pg_dump"
    environment = {"PGSERVICEFILE": str(server.service_file)}
    subprocess.run([str(program), "--schema=later", "service=taxi"], env=environment, check=True)


def test_a_server_made_before_there_were_roles_keeps_its_data(folder: Path) -> None:
    """Upgrade: the superuser loaded months, and runs in this moment."""
    server = postgres.ensure(folder)
    with closing(psycopg2.connect(admin_url(server))) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute("DROP DATABASE taxi WITH (FORCE)")
        cursor.execute("CREATE DATABASE taxi")
        cursor.execute("DROP ROLE taxi_loader")
        cursor.execute("DROP ROLE taxi_reader")
    for file in (folder / "cluster").glob("password-*"):
        file.unlink()
    with closing(psycopg2.connect(admin_url(server).removesuffix("postgres") + "taxi")) as connection:
        connection.autocommit = True
        connection.cursor().execute(
            """
            CREATE SCHEMA taxi;
            CREATE TYPE taxi.kind AS ENUM ('a', 'b');
            CREATE TABLE taxi.trips (id bigint GENERATED ALWAYS AS IDENTITY, month date, kind taxi.kind)
                PARTITION BY LIST (month);
            CREATE TABLE taxi.trips_2020_04 PARTITION OF taxi.trips FOR VALUES IN ('2020-04-01');
            CREATE TABLE public.mine (id serial);
            CREATE VIEW taxi.counts AS SELECT count(*) FROM taxi.trips;
            CREATE FUNCTION taxi.two() RETURNS int LANGUAGE sql RETURN 2;
            INSERT INTO taxi.trips (month, kind) VALUES ('2020-04-01', 'a');
            """
        )
    assert postgres.running(folder).user == "taxi_loader"
    server = postgres.ensure(folder)
    assert ask(server, "INSERT INTO taxi.trips (month, kind) VALUES ('2020-04-01', 'b') RETURNING id") == 2
    ask(server, "DROP TABLE taxi.trips_2020_04; ALTER TABLE public.mine ADD COLUMN b taxi.kind")
    ask(
        server,
        "ALTER TYPE taxi.kind ADD VALUE 'c'; CREATE OR REPLACE VIEW taxi.counts AS SELECT 7::bigint AS count",
    )
    ask(server, "DROP FUNCTION taxi.two(); ALTER SCHEMA taxi RENAME TO other")
    assert read(server, "SELECT count FROM other.counts") == "7"
    with pytest.raises(subprocess.CalledProcessError):
        read(server, "SELECT * FROM public.mine")


def test_processes_that_start_it_at_once_get_one_server(new_folder: Path) -> None:
    callers = [ensure_elsewhere(new_folder) for _ in range(4)]
    answers = [json.loads(caller.communicate()[0]) for caller in callers]
    assert sorted(started for _, started, _ in answers) == [False, False, False, True]
    assert len({url for *_, url in answers}) == 1
    # and it outlives all of them
    assert postgres.running(new_folder).port == answers[0][0]


def test_after_a_kill_it_recovers_what_was_committed(folder: Path) -> None:
    server = postgres.ensure(folder)
    ask(server, "CREATE TABLE kept AS SELECT 42 AS answer")
    kill(folder)
    again = postgres.ensure(folder)
    assert again.started
    assert again.url == server.url
    assert ask(again, "SELECT answer FROM kept") == 42


def test_a_process_number_that_went_to_another_process_is_no_obstacle(folder: Path) -> None:
    """As after a reboot: PostgreSQL alone would take the number in its pid file for a running server."""
    server = postgres.ensure(folder)
    pid = kill(folder)
    pid_file = folder / "cluster/data/postmaster.pid"
    owner = pid_file.stat().st_uid
    with subprocess.Popen(["sleep", "600"], user=owner if ROOT else None) as other:
        try:
            pid_file.write_text(pid_file.read_text().replace(str(pid), str(other.pid), 1))
            assert postgres.ensure(folder).url == server.url
        finally:
            other.kill()


def test_a_half_made_cluster_is_made_again(new_folder: Path) -> None:
    with ensure_elsewhere(new_folder) as caller:
        until(lambda: list(new_folder.glob("new-*/data")))  # initdb is at work
        caller.kill()
    assert not (new_folder / "cluster").exists()
    assert ask(postgres.ensure(new_folder), "SELECT 1") == 1


def test_a_database_that_a_kill_kept_from_being_created_is_created(folder: Path) -> None:
    server = postgres.ensure(folder)
    drop_database(server, "taxi")
    assert postgres.running(folder) is None
    assert not postgres.ensure(folder).started
    assert postgres.running(folder) is not None


def test_a_port_that_another_program_took_is_left_to_it(folder: Path) -> None:
    port = postgres.ensure(folder).port
    postgres.stop(folder)
    with socket.create_server(("127.0.0.1", port)):
        server = postgres.ensure(folder)
        assert server.port != port
    assert ask(server, "SELECT 1") == 1
    postgres.stop(folder)
    assert postgres.ensure(folder).port == server.port  # the new one is kept


def test_a_port_that_is_taken_at_the_last_moment_is_given_up(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = folder / "cluster/data/taxi.conf"
    port = int(settings.read_text().split("port = ")[1].split()[0])
    monkeypatch.setattr(process, "is_free", lambda _: True)  # it was when it was tried
    with socket.create_server(("127.0.0.1", port)):
        assert postgres.ensure(folder).port != port


def test_another_server_on_its_port_is_not_taken_for_it(open_folder: Path, folder: Path) -> None:
    """Not even one that has the same password."""
    other = open_folder / "other"
    subprocess.run(["cp", "-a", folder, other], check=True)
    mine = postgres.ensure(folder)
    try:
        port = postgres.ensure(other).port
        settings = folder / "cluster/data/taxi.conf"
        settings.write_text(settings.read_text().replace(f"port = {mine.port}", f"port = {port}"))
        assert postgres.running(folder) is None
        settings.write_text(settings.read_text().replace(f"port = {port}", f"port = {mine.port}"))
    finally:
        postgres.stop(other)


def test_a_server_that_does_not_start_says_why(folder: Path) -> None:
    postgres.ensure(folder)
    postgres.stop(folder)
    with (folder / "cluster/data/postgresql.auto.conf").open("a") as file:
        file.write("shared_preload_libraries = 'no_such_library'\n")
    with pytest.raises(
        DestinationError, match=r'did not start in .* "no_such_library".*see .*server\.log'
    ) as caught:
        postgres.ensure(folder)
    assert "\n" not in str(caught.value)


def test_processes_that_do_not_answer_are_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when another container with a network of its own runs the server on a shared folder."""
    postgres.ensure(folder)
    with monkeypatch.context() as patch:
        patch.setattr(postgres_cluster, "TIMEOUT", 0.1)
        patch.setattr(Cluster, "accepts", lambda *_: False)
        with pytest.raises(DestinationError, match=r"does not respond on .* does another container run it"):
            postgres.ensure(folder)


def test_programs_of_another_version_are_not_used(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    postgres.ensure(folder)
    postgres.stop(folder)
    version = folder / "cluster/data/PG_VERSION"
    was = version.read_text()
    version.write_text("9\n")
    with pytest.raises(DestinationError, match=r"PostgreSQL 9, which created .* was not found: set PG_BIN"):
        postgres.ensure(folder)
    version.write_text(was)


def test_pg_bin_alone_counts_when_it_is_set(new_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PG_BIN", "/no/such/folder")
    with pytest.raises(DestinationError, match="PostgreSQL was not found: set PG_BIN"):
        postgres.ensure(new_folder)


@only_root
def test_root_runs_it_as_another_account(folder: Path) -> None:
    postgres.ensure(folder)
    pid = (folder / "cluster/data/postmaster.pid").read_text().split()[0]
    owner = Path(f"/proc/{pid}").stat().st_uid
    assert pwd.getpwuid(owner).pw_name in unprivileged.ACCOUNTS
    assert (folder / "cluster").stat().st_uid == owner


@only_root
def test_below_a_closed_folder_the_data_goes_elsewhere(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(unprivileged, "REACHABLE", open_folder / "reachable")
    closed = open_folder / "home"
    closed.mkdir(mode=0o700)
    folder = closed / "workspace/postgres"
    try:
        server = postgres.ensure(folder)
        moved = (folder / "moved").resolve()
        assert moved.parent == open_folder / "reachable"
        assert f"stores its data in {moved}" in caplog.text
        caplog.clear()
        assert postgres.running(folder).url == server.url
        assert not caplog.text  # said once
        assert not (folder / "cluster").exists()
        assert postgres.stop(folder)
    finally:
        postgres.stop(folder)


@only_root
def test_programs_below_a_closed_folder_are_copied(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    account = unprivileged.account(open_folder / "none")
    programs = find(open_folder / "none", account)
    closed = open_folder / "home"
    closed.mkdir(mode=0o700)
    site = programs.parents[2]
    for folder in (programs.parent, site / f"{programs.parents[1].name}.libs"):
        if folder.exists():
            shutil.copytree(folder, closed / folder.relative_to(site), symlinks=True)
    monkeypatch.setattr(unprivileged, "REACHABLE", open_folder / "reachable")
    monkeypatch.setenv("PG_BIN", str(closed / programs.relative_to(site)))
    copied = find(open_folder / "none", account)
    assert copied.is_relative_to(open_folder / "reachable")
    for program in ("postgres", "initdb"):
        assert account.run([copied / program, "--version"]).returncode == 0
    assert "copying PostgreSQL to" in caplog.text
    caplog.clear()
    assert find(open_folder / "none", account) == copied
    assert not caplog.text


@only_root
def test_an_ordinary_user_runs_it_as_himself(open_folder: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    home = open_folder / "home"
    home.mkdir(mode=0o700)
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    child = os.fork()  # a new interpreter might not be within that user's reach
    if child == 0:
        os.setgroups([])
        os.setgid(nobody.pw_gid)
        os.setuid(nobody.pw_uid)
        try:
            server = postgres.ensure(home / "postgres")
            fine = server.started and ask(server, "SELECT 1") == 1 and postgres.stop(home / "postgres")
            os._exit(0 if fine else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert (home / "postgres/cluster").stat().st_uid == nobody.pw_uid


def test_a_folder_that_cannot_be_made_is_named() -> None:
    with pytest.raises(DestinationError, match=r"cannot use /dev/null/postgres .* another TAXI_WORKSPACE"):
        postgres.ensure(Path("/dev/null/postgres"))
