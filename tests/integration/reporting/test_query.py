"""`taxi sql`, `taxi export` and `taxi connect`: equal answers from each database, and nothing changed."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import io
import json
import os
import signal
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from psycopg2.extensions import parse_dsn

from nyc_taxi.errors import SettingsError, TaxiError
from nyc_taxi.load.postgres.config import PostgresConfig
from nyc_taxi.load.postgres.query import stream
from nyc_taxi.load.views.definitions import ANALYST_VIEWS
from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.request import LoadRequest
from nyc_taxi.model.run import Run, RunContext
from nyc_taxi.pipelines.trips.run import run_month
from nyc_taxi.reporting.query import DATABASES, query
from nyc_taxi.reporting.query_result import FORMATS
from nyc_taxi.reporting.shells import find_shell
from nyc_taxi.settings import load_settings
from tests.support.builders import green_csv
from tests.support.destinations import PostgresProbe
from tests.support.waiting import until

TAXI = Path(sys.executable).with_name("taxi")
TRIPS = 60


@pytest.fixture(autouse=True)
def loaded(
    workspace: Path, postgres_destination: PostgresProbe, duckdb_destination: object, tmp_path: Path
) -> None:
    """A month in Postgres, DuckDB and the workspace."""
    path = tmp_path / "green_tripdata_2020-04.csv"
    green_csv(path, [{"total_amount": f"{row}.5"} for row in range(1, TRIPS + 1)])
    request = LoadRequest(Service.GREEN, Month(2020, 4), str(path), ("postgres", "duckdb"))
    run_month(request, RunContext(load_settings(), Run("test", "cli")))


def rows(sql: str, on: str = "workspace", timeout: float = 600) -> list[dict[str, object]]:
    with query(sql, load_settings(), on=on, timeout=timeout) as result:
        answer: list[dict[str, object]] = result.arrow().to_pylist()
    return answer


def taxi(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([TAXI, *arguments], capture_output=True, text=True, check=False, cwd=cwd)


def test_each_database_has_the_same_tables() -> None:
    for table in ("trips_green", "taxi.trips_green", "zones", "quality", "all_rows_green", *ANALYST_VIEWS):
        shapes = []
        for name in DATABASES:
            with query(f"SELECT * FROM {table}", load_settings(), on=name) as result:
                answer = result.arrow()
            shapes.append((answer.schema.names, answer.num_rows))
        assert shapes == [shapes[0]] * 3


def test_values_keep_their_types() -> None:
    sql = (
        "SELECT month, pickup_datetime, trip_distance, passenger_count, flags, store_and_fwd_flag, ehail_fee"
        " FROM trips_green ORDER BY source_row LIMIT 2"
    )
    answers = [rows(sql, name) for name in DATABASES]
    assert answers[0] == answers[1] == answers[2]
    assert [str(type(value).__name__) for value in answers[0][0].values()] == [
        *("date", "datetime", "float", "int", "list", "str", "NoneType")
    ]
    assert rows("SELECT avg(passenger_count) AS mean, 1 AS a, 2 AS a FROM trips_green", "postgres") == [
        {"mean": 1.0, "a": 1, "a_1": 2}
    ]


REFUSED = {
    "SELEC 1": 'syntax error at or near "SELEC"',
    "SELECT totl FROM trips_green": "totl",
    "SELECT 1; DROP TABLE trips_green": "not one SELECT",
    "DROP TABLE trips_green": "not one SELECT",
    "COMMIT": "not one SELECT",
    "": "not one SELECT",
    "DELETE FROM zones RETURNING *": "not one SELECT|read-only",
    "WITH a AS (DELETE FROM zones RETURNING 1) SELECT * FROM a": "needs a SELECT|read-only",
    "SELECT CAST(store_and_fwd_flag AS integer) FROM trips_green": "(?i)could not convert|invalid input",
}


@pytest.mark.parametrize("name", DATABASES)
def test_a_query_that_is_refused_is_one_sentence(name: str) -> None:
    for sql, message in REFUSED.items():
        with pytest.raises(TaxiError, match=message) as raised:
            rows(sql, name)
        assert "\n" not in str(raised.value)
    assert rows("SELECT count(*) AS held FROM zones", name)[0]["held"] == 265


def test_an_error_in_a_later_batch_is_the_databases_own() -> None:
    sql = "SELECT 1 / (50000 - number) AS x FROM generate_series(1, 60000) AS number"
    with pytest.raises(TaxiError, match=r"^Postgres at .* division by zero\.$"):
        rows(sql, "postgres")


def test_a_query_that_takes_too_long_is_ended() -> None:
    slow = {
        "workspace": "SELECT count(*) FROM range(100000000000) WHERE random() > 2",
        "postgres": "SELECT pg_sleep(60)",
    }
    for name, sql in slow.items():
        with pytest.raises(TaxiError, match=r"longer than 0\.2 s|statement timeout"):
            rows(sql, name, timeout=0.2)


def test_the_configured_database_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "PostgreSQL" in str(rows("SELECT version() AS version", on=""))
    monkeypatch.delenv("POSTGRES_HOST")
    name = "SELECT current_database() AS name"
    assert rows(name, on="") == [{"name": "warehouse"}]
    monkeypatch.delenv("DUCKDB_DATABASE")
    assert rows(name, on="") == [{"name": "memory"}]
    with pytest.raises(SettingsError, match="database 'mysql' is not known: use one of workspace"):
        rows(name, on="mysql")


def test_generated_months_are_left_out_unless_asked_for(workspace: Path) -> None:
    request = LoadRequest(Service.YELLOW, Month(2021, 1), "sample:300:1", ("duckdb",))
    run_month(request, RunContext(load_settings(), Run("test", "cli")))
    count = "SELECT count(*) AS held FROM trips_yellow"
    assert rows(count) == [{"held": 0}]
    with query(count, load_settings(), on="workspace", generated=True) as result:
        assert result.arrow()["held"][0].as_py() > 250


@pytest.mark.parametrize("damage", ["truncated", "overwritten"])
def test_a_damaged_month_is_left_out(
    damage: str, workspace: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "green_tripdata_2020-05.csv"
    green_csv(path, [{"total_amount": f"{row}.5"} for row in range(1, TRIPS + 1)])
    path.write_text(path.read_text().replace("2020-04-", "2020-05-"))
    request = LoadRequest(Service.GREEN, Month(2020, 5), str(path), ("duckdb",))
    run_month(request, RunContext(load_settings(), Run("test", "cli")))
    (file,) = (workspace / "lake").rglob("month=2020-05/**/trips.parquet")
    size = 0 if damage == "truncated" else file.stat().st_size
    file.chmod(0o600)
    file.write_bytes(b"x" * size)
    assert rows("SELECT DISTINCT month FROM trips_green") == [{"month": dt.date(2020, 4, 1)}]
    assert "green 2020-05 is left out" in caplog.text


def test_all_rows_are_written_in_every_format(tmp_path: Path) -> None:
    sql = "SELECT total_amount, pickup_datetime FROM trips_green ORDER BY total_amount"
    for form in FORMATS:
        exported, queried = tmp_path / f"exported.{form}", tmp_path / f"queried.{form}"
        assert taxi("export", "green", "2020-04", "--output", str(exported)).returncode == 0
        assert taxi("sql", sql, "--on", "postgres", "-o", str(queried)).returncode == 0
        for path in (exported, queried):
            amounts = duckdb.sql(f"SELECT total_amount FROM '{path}'").fetchall()
            assert amounts == [(row + 0.5,) for row in range(1, TRIPS + 1)], "in order"
    assert not list(tmp_path.glob(".*.part"))


def test_rows_go_to_the_standard_output(tmp_path: Path) -> None:
    sql = "SELECT total_amount, pickup_datetime, flags FROM trips_green ORDER BY total_amount LIMIT 2"
    answer = list(csv.DictReader(io.StringIO(taxi("sql", sql, "--as", "csv").stdout)))
    assert answer[0] == {"total_amount": "1.5", "pickup_datetime": "2020-04-10 08:00:00", "flags": "[]"}
    assert len(json.loads(taxi("sql", sql, "--as", "json").stdout)) == 2
    log = tmp_path / "log.csv"
    log.write_text("before\n")
    with log.open("a") as file:
        subprocess.run([TAXI, "sql", "SELECT 1 AS one", "--as", "csv"], check=True, stdout=file)
    assert log.read_text() == "before\none\n1\n"
    after_a_print = """
from nyc_taxi.reporting.query import query
from nyc_taxi.settings import load_settings
print("before")
with query("SELECT 1 AS one", load_settings()) as result:
    result.print("csv")
"""
    buffered = [sys.executable, "-E", "-c", after_a_print]  # whatever PYTHONUNBUFFERED says
    python = subprocess.run(buffered, capture_output=True, text=True, check=True)
    assert python.stdout == "before\none\n1\n"
    shown = taxi("sql", "SELECT total_amount FROM trips_green ORDER BY 1", "--rows", "5").stdout
    assert "1.5" in shown
    assert "60.5" not in shown


def test_a_reader_that_leaves_ends_the_query() -> None:
    sql = "SELECT * FROM trips_green, range(5000)"
    arguments = [str(TAXI), "sql", sql, "--on", "workspace", "--as", "csv"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline().startswith("month,")
        process.stdout.close()
        assert process.stderr
        assert process.stderr.read() == ""
    assert process.returncode == 0


def test_errors_are_one_sentence() -> None:
    errors = {
        "the format 'xml' is not known: use one of csv": ["sql", "SELECT 1", "--as", "xml"],
        "the ending of rows.txt is not known": ["sql", "SELECT 1", "-o", "rows.txt"],
        "rows.csv: cannot be written (No such": ["sql", "SELECT 1 AS a", "-o", "/nowhere/rows.csv"],
        "green 2019-01 is not in the workspace": ["export", "green", "2019-01"],
        "database 'mysql' is not known: use postgres or duckdb": ["connect", "mysql"],
    }
    for message, arguments in errors.items():
        process = taxi(*arguments)
        assert process.returncode == 1
        assert message in process.stderr
        assert process.stderr.count("\n") == 1


def test_quarantine_is_exported_gzipped(tmp_path: Path) -> None:
    process = taxi("export", "green", "2020-04", "--quarantine", "--as", "csv.gz", cwd=tmp_path)
    assert process.stdout.startswith("green_2020-04_quarantine.csv.gz: ")
    with gzip.open(tmp_path / "green_2020-04_quarantine.csv.gz", "rt") as file:
        assert "reasons" in file.readline()


def test_the_line_of_each_shell_runs_a_query(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings()
    shell = find_shell("postgres", settings)
    assert taxi("connect", "postgres").stdout.strip() == shell.line
    assert all(secret not in shell.line for secret in shell.secrets.values())
    ask = "SELECT count(*) FROM trips_green"
    environment = {**shell.environment, **shell.secrets, "PATH": "/usr/bin:/bin"}
    command = [*shell.arguments, "-At", "-c", ask]
    psql = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert psql.stdout == f"{TRIPS}\n"
    command = [*shell.arguments, "-c", "DROP TABLE zones"]
    refused = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert "read-only transaction" in refused.stderr
    line = taxi("connect", "duckdb").stdout.strip()
    typed = f'sql("{ask}").show()\n'
    python = subprocess.run(line, shell=True, input=typed, capture_output=True, text=True, check=True)
    assert str(TRIPS) in python.stdout


def test_a_query_touches_no_file_but_those_of_its_tables(tmp_path: Path) -> None:
    precious = tmp_path / "precious.txt"
    precious.write_text("mine")
    attempts = (
        f"SELECT * FROM enable_profiling(save_location='{precious}', format='json')",
        f"SELECT * FROM enable_logging('QueryLog', storage='file', storage_path='{tmp_path}/log')",
        f"SELECT * FROM read_text('{precious}')",
        f"SELECT * FROM query('SELECT * FROM Enable_Profiling(save_location=''{precious}'')')",
        "SELECT * FROM text",
    )
    text = attempts  # a name that DuckDB would find in Python
    for name in ("workspace", "duckdb"):
        for sql in text:
            with pytest.raises(TaxiError, match=r"refuses the query|does more than read"):
                rows(sql, name)
    assert precious.read_text() == "mine"
    assert not (tmp_path / "log").exists()


def test_an_output_that_is_a_link_or_a_pipe_stays_one(tmp_path: Path) -> None:
    target, link, pipe = tmp_path / "target.csv", tmp_path / "link.csv", tmp_path / "pipe.csv"
    target.write_text("old")
    link.symlink_to(target)
    os.mkfifo(pipe)
    for on in DATABASES:
        assert taxi("sql", "SELECT 1 AS a", "--on", on, "-o", str(link)).returncode == 0
        assert link.is_symlink()
        assert target.read_text() == "a\n1\n"
    with subprocess.Popen([TAXI, "sql", "SELECT 1 AS a", "-o", str(pipe)]) as process:
        assert pipe.read_text() == "a\n1\n"
    assert process.returncode == 0
    assert pipe.is_fifo()


def test_postgres_values_are_its_own() -> None:
    whole = 2**70
    sql = f"""
        SELECT '{{"a": null}}'::json AS json, '{{"b": [1]}}'::jsonb AS jsonb, '\\x01'::bytea AS bytes,
            interval '1 month' AS month, ARRAY[1, 2] AS numbers, sum(9007199254740993::bigint) AS total,
            {whole}::numeric AS large, 1.25::numeric(10, 2) AS price, avg(1.5) AS mean, NULL::numeric AS none
    """
    assert list(rows(sql, "postgres")[0].values()) == [
        *('{"a": null}', '{"b": [1]}', "\\x01", "1 mon", "{1,2}", 9007199254740993),
        *(Decimal(whole), Decimal("1.25"), 1.5, None),
    ]


def test_time_is_up_however_many_batches_there_are() -> None:
    sql = "SELECT pg_sleep(0.004), number FROM generate_series(1, 100000) AS number"
    with pytest.raises(TaxiError, match=r"^the query took longer than 1 s: raise --timeout"):
        rows(sql, "postgres", timeout=1)


def test_wide_rows_are_fetched_in_small_batches() -> None:
    config = PostgresConfig.from_settings(load_settings())
    with stream(config, "SELECT repeat('x', 20000) FROM generate_series(1, 2000)", 60) as (_, batches):
        sizes = [(len(batch), batch.nbytes) for batch in batches]
    assert sum(rows for rows, _ in sizes) == 2000
    assert max(size for _, size in sizes) < 10_000_000


def test_what_cannot_be_read_or_written_is_one_sentence() -> None:
    errors = {
        "cannot be read here (year 20000 is out of range): cast it": ["SELECT date '20000-01-01' AS a"],
        "cannot be read here (Expected bytes": ["SELECT ARRAY[ARRAY['a']] AS a"],
        "the query has no columns": ["SELECT FROM zones"],
        "/dev/full: cannot be written (No space left": ["SELECT 1 AS a", "-o", "/dev/full", "--as", "csv"],
        "the standard output cannot be written (No space": ["SELECT 1 AS a", "--as", "csv"],
        "is not in the range": ["SELECT 1 AS a", "--timeout", "1e12"],
    }
    for message, arguments in errors.items():
        with Path("/dev/full").open("w") as full:
            process = subprocess.run(
                [TAXI, "sql", *arguments], stdout=full, stderr=subprocess.PIPE, text=True, check=False
            )
        assert process.returncode
        assert message in process.stderr
        assert "Traceback" not in process.stderr


def test_gzip_goes_to_the_standard_output() -> None:
    process = subprocess.run(
        [TAXI, "sql", "SELECT 1 AS a", "--as", "csv.gz"], capture_output=True, check=True
    )
    assert gzip.decompress(process.stdout) == b"a\n1\n"


@pytest.mark.parametrize("name", ["workspace", "duckdb"])
def test_semicolons_and_comments_may_end_a_query(name: str) -> None:
    for sql in ("SELECT 'é;' AS a; -- c", "SELECT 'é;' AS a -- ; c", "SELECT 'é;' AS a; /* ; */ ;"):
        assert rows(sql, name) == [{"a": "é;"}]


def test_ctrl_c_leaves_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    sql = "SELECT a.*, b.range AS n FROM trips_green AS a, range(100000000) AS b"
    arguments = [str(TAXI), "sql", sql, "--on", "workspace", "-o", str(tmp_path / "big.csv")]
    with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True) as process:
        until(lambda: any(part.stat().st_size for part in tmp_path.glob(".big.csv.*.part")))
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert stderr == "Stopped. No file is half written.\n"
    assert not [*tmp_path.glob("*big*"), *tmp_path.glob(".*big*"), *temporary.iterdir()]


def test_ctrl_c_does_not_wait_for_postgres() -> None:
    arguments = [str(TAXI), "sql", "SELECT pg_sleep(50)", "--on", "postgres"]
    running = "SELECT count(*) AS n FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
    with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True) as process:
        until(lambda: rows(running, "postgres") == [{"n": 1}])
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
    assert process.returncode == 130


def test_a_connection_string_is_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTGRES_USER", "o'neil smith")
    shell = find_shell("postgres", load_settings())
    assert parse_dsn(shell.arguments[1])["user"] == "o'neil smith"


def test_a_generated_month_is_exported_with_a_line_of_the_log(tmp_path: Path) -> None:
    request = LoadRequest(Service.YELLOW, Month(2021, 1), "sample:300:1", ("duckdb",))
    run_month(request, RunContext(load_settings(), Run("test", "cli")))
    process = taxi("export", "yellow", "2021-01", "-o", str(tmp_path / "yellow.csv.gz"))
    assert "yellow 2021-01: generated, not TLC's data." in process.stderr
    assert "UserWarning" not in process.stderr
