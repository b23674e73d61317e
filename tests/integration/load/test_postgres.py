"""One run at a time: what it leaves in the tables, what it refuses, and that a refusal changes nothing."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg2
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import Connection

from nyc_taxi.errors import DestinationError, DestinationUnreachable, SchemaError, SettingsError, TaxiError
from nyc_taxi.load.postgres import copy, replace
from nyc_taxi.load.postgres.client import execute, transaction
from nyc_taxi.load.postgres.config import PostgresConfig
from nyc_taxi.load.postgres.errors import translate_errors
from nyc_taxi.load.postgres.load import Postgres
from nyc_taxi.load.postgres.staging import Staged
from nyc_taxi.load.postgres.swap import swap
from nyc_taxi.load.registry import open_destination
from nyc_taxi.local import postgres as embedded
from nyc_taxi.model.months import Month, Service
from nyc_taxi.schema import Column, trip_columns
from nyc_taxi.settings import load_settings
from nyc_taxi.transform.refined import RefinedMonth
from tests.support.builders import month_files
from tests.support.postgres_probe import RUN, admin_url, query, state

APRIL = Month(2020, 4)
GREEN = Service.GREEN


@pytest.fixture(params=["binary", "csv"])
def encoder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to COPY, whether or not this machine has a wheel of pgpq."""
    if request.param == "csv":
        monkeypatch.setattr(copy, "pgpq", None)
    else:
        pytest.importorskip("pgpq")
    return str(request.param)


@pytest.fixture
def one_try(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAXI_RETRIES", "1")
    return


@pytest.mark.parametrize("service", Service)
def test_the_tables_hold_what_the_files_hold(
    postgres: PostgresConfig, tmp_path: Path, service: Service, encoder: str
) -> None:
    files = month_files(tmp_path, service=service, extra={"new_in_file": pa.array([None, *range(19)])})
    Postgres(postgres).replace_month(RefinedMonth.of(files), RUN)

    for table, path in [("trips", files.trips_path), ("quarantine", files.quarantine_path)]:
        rows = pq.read_table(path).to_pylist()
        names = list(rows[0])
        loaded = query(postgres, f"SELECT {', '.join(names)} FROM {table}_{service} ORDER BY source_row")
        assert [dict(zip(names, row, strict=True)) for row in loaded] == rows
        months = query(postgres, f"SELECT DISTINCT month, tableoid::regclass::text FROM {table}_{service}")
        assert months == [(APRIL.first_day, f"{table}_{service}_2020_04")]
    assert query(postgres, "SELECT * FROM quality") == [(str(service), APRIL.first_day, "trips", "", 20.0)]


def test_a_value_of_every_kind_comes_through(postgres: PostgresConfig, encoder: str) -> None:
    texts = ["", None, 'a "b", c', "line\nbreak\r\n", "\\N", "\\.", "é✓😀", "{}", "NULL", " "]
    lists = [[], None, [""], ["a,b"], ['"'], ["\\"], ["{"], ["NULL"], ["é", "b", "\n"], [None]]
    floats = [float("nan"), None, float("inf"), -float("inf"), 5e-324, 0.1 + 0.2, 1e308, -0.0, 1.0, 1e15]
    ints = [None, 0, -(2**63), 2**63 - 1, *range(6)]
    times = pa.array([None, 0, -1, 10**6, -(10**16), 4 * 10**15, 1, 2, 3, 4], pa.timestamp("us"))
    table = pa.table(
        {"text": texts, "list": pa.array(lists, pa.list_(pa.string())), "float": floats, "int": ints}
    )
    table = table.append_column("time", times)
    with transaction(postgres) as connection:
        columns = '"text" text, "list" text[], "float" double precision, "int" bigint, "time" timestamp'
        execute(connection, f"CREATE TEMP TABLE t ({columns})")
        assert copy.copy_batches(connection, "t", table.schema, iter(table.to_batches())) == len(texts)
        rows = [tuple(row) for row in execute(connection, "SELECT * FROM t")]
    assert repr(rows) == repr([tuple(row.values()) for row in table.to_pylist()])


def test_nul_is_spelled_out(postgres: PostgresConfig, encoder: str) -> None:
    table = pa.table({"text": ["a\0b", "plain"]})
    with transaction(postgres) as connection:
        execute(connection, "CREATE TEMP TABLE t (text text)")
        copy.copy_batches(connection, "t", table.schema, iter(table.to_batches()))
        assert [row.text for row in execute(connection, "SELECT * FROM t")] == [r"a\x00b", "plain"]


def test_tables_explain_themselves(postgres: PostgresConfig, tmp_path: Path) -> None:
    Postgres(postgres).replace_month(RefinedMonth.of(month_files(tmp_path)), RUN)
    without = query(
        postgres,
        """
        SELECT relname, attname FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace AND nspname = 'taxi'
        JOIN pg_attribute ON attrelid = pg_class.oid AND attnum > 0
        WHERE relkind IN ('r', 'p') AND NOT relispartition
          AND (col_description(pg_class.oid, attnum) IS NULL OR obj_description(pg_class.oid) IS NULL)
        """,
    )
    assert without == []
    comments = query(
        postgres,
        "SELECT col_description(attrelid, attnum) FROM pg_attribute"
        " WHERE attrelid = 'trips_green'::regclass AND attname = 'trip_type'",
    )
    assert "2 = Dispatch" in comments[0][0]


def test_partitions_keep_their_names(postgres: PostgresConfig, tmp_path: Path, encoder: str) -> None:
    destination = Postgres(postgres)
    for version, month in (("v1", "2020-04"), ("v1", "2020-03"), ("v2", "2020-04")):
        destination.replace_month(RefinedMonth.of(month_files(tmp_path, version, month)), RUN)
    relations = {name for name, *_ in state(postgres)["relations"]}
    assert {name for name in relations if name.startswith("trips_green")} == {
        "trips_green",
        "trips_green_pickup",
        "trips_green_2020_03",
        "trips_green_2020_03_pickup_datetime_idx",
        "trips_green_2020_04",
        "trips_green_2020_04_pickup_datetime_idx",
    }


def test_an_unknown_column_is_added_for_all_months(postgres: PostgresConfig, tmp_path: Path) -> None:
    destination = Postgres(postgres)
    destination.replace_month(RefinedMonth.of(month_files(tmp_path, month="2020-03")), RUN)
    destination.replace_month(
        RefinedMonth.of(month_files(tmp_path, extra={"peak %": pa.array(range(20))})), RUN
    )
    destination.replace_month(RefinedMonth.of(month_files(tmp_path, month="2020-05")), RUN)
    sums = query(postgres, 'SELECT month, sum("peak %"), count(*) FROM trips_green GROUP BY 1 ORDER BY 1')
    assert [row[1:] for row in sums] == [(None, 20), (190, 20), (None, 20)]


def test_a_column_is_explained_once_the_schema_knows_it(
    postgres: PostgresConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    destination, peak = Postgres(postgres), {"peak": pa.array(range(20))}
    comment_query = (
        "SELECT col_description(attrelid, attnum) FROM pg_attribute"
        " WHERE attrelid = 'trips_green'::regclass AND attname = 'peak'"
    )
    destination.replace_month(RefinedMonth.of(month_files(tmp_path, extra=peak)), RUN)
    assert query(postgres, comment_query) == [("Unknown to the schema; first loaded with 2020-04.",)]
    later = (*trip_columns(GREEN), Column("peak", "int64", "Trips at that hour."))
    monkeypatch.setattr(replace, "trip_columns", lambda _: later)
    destination.replace_month(RefinedMonth.of(month_files(tmp_path, month="2020-05", extra=peak)), RUN)
    assert query(postgres, comment_query) == [("Trips at that hour.",)]


def test_an_unknown_column_of_another_type_is_refused(postgres: PostgresConfig, tmp_path: Path) -> None:
    destination = Postgres(postgres)
    destination.replace_month(
        RefinedMonth.of(month_files(tmp_path, extra={"peak": pa.array(range(20))})), RUN
    )
    before = state(postgres)
    with pytest.raises(SchemaError, match="the column peak is text, but bigint in the table trips_green"):
        destination.replace_month(
            RefinedMonth.of(month_files(tmp_path, month="2020-05", extra={"peak": pa.array(["x"] * 20)})), RUN
        )
    with pytest.raises(SchemaError, match=r"trips_green of 2020-06: the column peak has type duration"):
        destination.replace_month(
            RefinedMonth.of(
                month_files(tmp_path, month="2020-06", extra={"peak": pa.array([1] * 20, pa.duration("s"))})
            ),
            RUN,
        )
    assert state(postgres) == before


def test_broken_parquet_is_refused(postgres: PostgresConfig, tmp_path: Path) -> None:
    Postgres(postgres).replace_month(RefinedMonth.of(month_files(tmp_path, "v1")), RUN)
    before = state(postgres)
    pages = month_files(tmp_path, "v2", trips=50_000)
    data = bytearray(pages.trips_path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 2000] = bytes(2000)  # the footer is whole, so COPY begins
    pages.trips_path.write_bytes(data)
    cut = month_files(tmp_path, "v3")
    cut.quarantine_path.write_bytes(cut.quarantine_path.read_bytes()[:-5])
    gone = month_files(tmp_path, "v4")
    gone.quality_path.unlink()
    for files, name in [(pages, "trips"), (cut, "quarantine"), (gone, "quality")]:
        with pytest.raises(TaxiError, match=rf"^\S+{name}.parquet: (cannot be read|no longer exists)"):
            Postgres(postgres).replace_month(RefinedMonth.of(files), RUN)
        assert state(postgres) == before


def test_the_swap_scans_nothing_and_builds_no_index(
    postgres: PostgresConfig,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What happens under the lock must not depend on the month's size: also for an index of the user's."""
    Postgres(postgres).replace_month(RefinedMonth.of(month_files(tmp_path, "v1")), RUN)
    query(
        postgres, 'CREATE INDEX "a USING b" ON trips_green (fare_amount, (total_amount + 1)) WHERE extra > 0'
    )
    caplog.set_level(logging.INFO, "sqlalchemy.dialects.postgresql")  # where the server's notices go
    swaps: list[str] = []

    def watched_swap(connection: Connection, staged: Staged) -> None:
        assert "building index" in caplog.text  # the notices come
        before = len(caplog.text)
        swap(connection, staged)
        swaps.append(caplog.text[before:])

    monkeypatch.setattr(replace, "swap", watched_swap)
    with transaction(postgres) as connection:
        execute(connection, "SET LOCAL client_min_messages TO debug1")
        replace.replace_month(connection, "taxi", RefinedMonth.of(month_files(tmp_path, "v2")), RUN)
    assert len(swaps) == 2
    for notices in swaps:
        assert "is implied by existing constraints" in notices
        assert "building index" not in notices
    indexes = query(
        postgres, "SELECT count(*) FROM pg_index WHERE indrelid = 'trips_green_2020_04'::regclass"
    )
    assert indexes == [(2,)]


def test_what_was_built_on_one_months_table_stops_its_replacement(
    postgres: PostgresConfig, tmp_path: Path
) -> None:
    Postgres(postgres).replace_month(RefinedMonth.of(month_files(tmp_path, "v1")), RUN)
    query(postgres, "CREATE VIEW april AS SELECT * FROM trips_green_2020_04")
    before = state(postgres)
    with pytest.raises(DestinationError, match=r"view april depends on .* make it depend on the table"):
        Postgres(postgres).replace_month(RefinedMonth.of(month_files(tmp_path, "v2")), RUN)
    assert state(postgres) == before


def test_a_table_that_is_no_partition_is_not_taken_for_one(postgres: PostgresConfig, tmp_path: Path) -> None:
    Postgres(postgres).replace_month(RefinedMonth.of(month_files(tmp_path, "v1")), RUN)
    query(postgres, "ALTER TABLE trips_green DETACH PARTITION trips_green_2020_04")
    with pytest.raises(DestinationError, match='relation "trips_green_2020_04" already exists'):
        Postgres(postgres).replace_month(RefinedMonth.of(month_files(tmp_path, "v2")), RUN)
    assert query(postgres, "SELECT count(*) FROM trips_green_2020_04") == [(20,)]


def test_a_partition_of_another_table_is_not_taken_for_the_months(
    postgres: PostgresConfig, tmp_path: Path
) -> None:
    destination = Postgres(postgres)
    destination.replace_month(RefinedMonth.of(month_files(tmp_path, "v1", month="2020-03")), RUN)
    query(
        postgres,
        "CREATE TABLE mine (month date) PARTITION BY LIST (month);"
        "CREATE TABLE trips_green_2020_04 PARTITION OF mine FOR VALUES IN ('2020-04-01');"
        "INSERT INTO mine VALUES ('2020-04-01')",
    )
    with pytest.raises(DestinationError, match='relation "trips_green_2020_04" already exists'):
        destination.replace_month(RefinedMonth.of(month_files(tmp_path, "v2")), RUN)
    assert query(postgres, "SELECT count(*) FROM mine") == [(1,)]


def test_a_server_in_another_time_zone_records_the_same(postgres: PostgresConfig, tmp_path: Path) -> None:
    query(postgres, f"ALTER DATABASE {postgres.dbname} SET TimeZone TO 'America/New_York'")
    files = month_files(tmp_path)
    destination = Postgres(postgres)
    loaded = destination.replace_month(RefinedMonth.of(files), RUN)
    [recorded] = destination.ledger_entries()
    assert recorded == loaded
    assert recorded.finished_at.isoformat() == loaded.finished_at.isoformat(), "UTC"
    times = pq.read_table(files.trips_path, columns=["pickup_datetime"])["pickup_datetime"].to_pylist()
    pickups = query(postgres, "SELECT pickup_datetime FROM trips_green ORDER BY source_row")
    assert [time for (time,) in pickups] == times


@pytest.fixture
def superuser(postgres: PostgresConfig, postgres_server: embedded.Server) -> PostgresConfig:
    """The test's database as the superuser sees it, who makes roles."""
    url = urlsplit(admin_url(postgres_server))
    return dataclasses.replace(postgres, user=str(url.username), password=str(url.password))


def test_a_role_that_owns_the_schema_alone_is_enough(
    postgres: PostgresConfig, superuser: PostgresConfig, tmp_path: Path
) -> None:
    role = f"loader_{postgres.dbname}"
    query(superuser, f"CREATE ROLE {role} LOGIN PASSWORD 'x'")
    query(superuser, f"CREATE SCHEMA taxi AUTHORIZATION {role}")
    query(superuser, f"REVOKE ALL ON DATABASE {postgres.dbname} FROM PUBLIC")
    query(superuser, f"GRANT CONNECT ON DATABASE {postgres.dbname} TO {role}")
    destination = Postgres(dataclasses.replace(postgres, user=role, password="x"))
    try:
        destination.replace_month(RefinedMonth.of(month_files(tmp_path, "v1")), RUN)
        destination.replace_month(
            RefinedMonth.of(month_files(tmp_path, "v2", extra={"peak": pa.array(range(20))})), RUN
        )
        assert query(superuser, "SELECT count(*) FROM trips_green") == [(20,)]
    finally:
        query(superuser, f"DROP OWNED BY {role} CASCADE; DROP ROLE {role}")


def test_a_role_without_the_right_is_told_what_it_needs(
    postgres: PostgresConfig, superuser: PostgresConfig, tmp_path: Path
) -> None:
    role = f"guest_{postgres.dbname}"
    query(superuser, f"CREATE ROLE {role} LOGIN PASSWORD 'x'")
    destination, files = (
        Postgres(dataclasses.replace(postgres, user=role, password="x")),
        month_files(tmp_path),
    )
    try:
        for more_or_less in (
            "SELECT",  # there is no schema, and it may not make one
            "CREATE SCHEMA taxi",  # which it may not use
            f"REVOKE CONNECT ON DATABASE {postgres.dbname} FROM PUBLIC",
        ):
            query(superuser, more_or_less)
            with pytest.raises(DestinationError, match="make it the owner of the schema taxi") as caught:
                destination.replace_month(RefinedMonth.of(files), RUN)
            assert not isinstance(caught.value, DestinationUnreachable)
    finally:
        query(superuser, f"DROP ROLE {role}")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"password": "wrong"}, "check POSTGRES_USER and POSTGRES_PASSWORD"),
        ({"user": "nobody_here"}, "check POSTGRES_USER and POSTGRES_PASSWORD"),
        ({"dbname": "nowhere"}, "has no database nowhere: create it or set POSTGRES_DBNAME"),
        ({"sslmode": "bogus"}, 'invalid sslmode value: "bogus": correct the POSTGRES_'),
        ({"sslmode": "require"}, "check POSTGRES_SSLMODE and POSTGRES_SSLROOTCERT"),
        ({"sslmode": "verify-full", "sslrootcert": "/no/such.pem"}, "check POSTGRES_SSLMODE and"),
    ],
)
def test_what_no_second_try_mends_fails_at_once(
    postgres: PostgresConfig, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(DestinationError, match=message) as caught:
        Postgres(dataclasses.replace(postgres, **change)).ledger_entries()
    assert not isinstance(caught.value, DestinationUnreachable)
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("one_try")
@pytest.mark.parametrize("change", [{"port": 1}, {"host": "no-such-host.invalid"}])
def test_no_answer_is_worth_another_try(postgres: PostgresConfig, change: dict[str, Any]) -> None:
    with pytest.raises(DestinationUnreachable, match="does not answer or closed the connection"):
        Postgres(dataclasses.replace(postgres, **change)).ledger_entries()


@pytest.mark.usefixtures("one_try")
@pytest.mark.parametrize(
    ("sqlstate", "transient", "message"),
    [
        ("53100", False, "has no disk space left"),
        ("22012", False, "refused: it happened"),
        ("40001", True, "run the month again"),
        ("57P01", True, "run the month again"),
        ("53300", True, "run the month again"),
    ],
)
def test_the_servers_errors_are_told_apart(
    postgres: PostgresConfig, sqlstate: str, transient: bool, message: str
) -> None:
    with pytest.raises(DestinationError, match=message) as caught, transaction(postgres) as connection:
        execute(connection, f"DO $$ BEGIN RAISE 'it happened' USING ERRCODE = '{sqlstate}'; END $$")
    assert isinstance(caught.value, DestinationUnreachable) == transient


@pytest.mark.parametrize(
    "text", ["SSL SYSCALL error: EOF detected", "SSL connection has been closed unexpectedly"]
)
def test_a_lost_encrypted_connection_is_worth_another_try(postgres: PostgresConfig, text: str) -> None:
    with pytest.raises(DestinationUnreachable), translate_errors(postgres):
        raise psycopg2.OperationalError(text)


def test_the_configured_database_is_used_and_no_password_shown(postgres: PostgresConfig) -> None:
    destination = open_destination("postgres", load_settings())
    assert (
        destination.describe()
        == f"Postgres at {postgres.where}, schema taxi, as taxi_loader; `taxi connect postgres`"
    )
    assert postgres.password not in repr(vars(destination))
    assert destination.ledger_entries() == []


def test_a_port_that_is_no_number_is_named(postgres: PostgresConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTGRES_PORT", "five")
    with pytest.raises(SettingsError, match="POSTGRES_PORT='five' is not a port"):
        Postgres.from_settings(load_settings())


def test_without_a_host_the_embedded_server_is_used_and_named(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setenv("TAXI_WORKSPACE", str(open_folder))
    monkeypatch.setenv("POSTGRES_HOST", "")
    try:
        destination = Postgres.from_settings(load_settings())
        assert destination.describe() == (
            f"embedded Postgres in {open_folder}/postgres, schema taxi (POSTGRES_HOST is not set);"
            " `taxi connect postgres`"
        )
        assert destination.describe() in caplog.text
        assert embedded.running(open_folder / "postgres") is None
        entry = destination.replace_month(RefinedMonth.of(month_files(tmp_path)), RUN)
        assert embedded.running(open_folder / "postgres") is not None
        embedded.stop(open_folder / "postgres")
        assert destination.ledger_entries() == [entry]  # started again when it was needed
    finally:
        embedded.stop(open_folder / "postgres")
