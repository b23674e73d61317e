"""`taxi catch-up` and `taxi backfill` against a server on which months appear, change and are refused."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest

from nyc_taxi.local import samples
from nyc_taxi.model.months import Month, Service
from nyc_taxi.pipelines.pending import months_to_check
from tests.integration.cli.test_cli import taxi
from tests.support.servers import FaultyServer

FIRST = months_to_check(dt.datetime.now(dt.UTC).date())[0]
A, B, C, D = (FIRST + number for number in range(4))


def publish(server: FaultyServer, folder: Path, month: Month, rows: int = 100) -> None:
    """The month on the server, under an ETag of its content."""
    path = folder / f"green_tripdata_{month}.parquet"
    samples.write(Service.GREEN, month, path, rows=rows)
    server.put(f"/{path.name}", path.read_bytes(), etag=f'"{month}-{rows}"')


def catch_up(folder: Path, url: str, *options: str, code: int = 0) -> list[str]:
    """What the command said, line by line."""
    arguments = ("--services", "green", "--since", str(FIRST), "--source", url, *options)
    done = taxi(folder, "catch-up", *arguments)
    assert done.returncode == code, done.stderr
    return done.stdout.splitlines()


def loaded(folder: Path) -> dict[str, int]:
    """Rows in by month, as the ledger says."""
    return {
        each["month"]: each["destinations"]["duckdb"]["rows_in"]
        for each in json.loads(taxi(folder, "status", "--json").stdout)
    }


def test_exactly_what_is_new_or_changed_is_loaded(tmp_path: Path, server: FaultyServer) -> None:
    server.missing = 403
    publish(server, tmp_path, A)
    publish(server, tmp_path, B)
    (due,) = [line for line in catch_up(tmp_path, server.url, "--dry-run") if str(A) in line]
    assert due == f"green {A} is pending: duckdb does not hold it"
    assert loaded(tmp_path) == {}

    lines = catch_up(tmp_path, server.url)
    assert lines[-1] == "2 months, 200 rows in"
    assert loaded(tmp_path) == {str(A): 100, str(B): 100}

    sent = server.sent
    assert catch_up(tmp_path, server.url)[-1].startswith(f"Nothing is pending: green from {FIRST} to ")
    assert server.sent == sent, "the second time nothing is fetched"

    server.missing = 404
    publish(server, tmp_path, B, rows=120)
    publish(server, tmp_path, C)
    lines = catch_up(tmp_path, server.url)
    assert [line for line in lines if "is pending" in line] == [
        f"green {B} is pending: duckdb holds an earlier version",
        f"green {C} is pending: duckdb does not hold it",
    ]
    assert loaded(tmp_path) == {str(A): 100, str(B): 120, str(C): 100}
    assert catch_up(tmp_path, server.url)[-1].startswith("Nothing is pending")


def test_the_same_bytes_under_another_etag_are_looked_at_once(tmp_path: Path, server: FaultyServer) -> None:
    publish(server, tmp_path, A)
    catch_up(tmp_path, server.url)
    data = (tmp_path / f"green_tripdata_{A}.parquet").read_bytes()
    server.put(f"/green_tripdata_{A}.parquet", data, etag='"another"')
    assert catch_up(tmp_path, server.url)[-1] == "1 months, 100 rows in"
    assert catch_up(tmp_path, server.url)[-1].startswith("Nothing is pending")


def test_a_month_that_fails_keeps_no_other_from_being_loaded(
    tmp_path: Path,
    server: FaultyServer,
) -> None:
    server.put(f"/green_tripdata_{A}.parquet", b"<!DOCTYPE html><html>Come back later</html>")
    publish(server, tmp_path, B)
    lines = catch_up(tmp_path, server.url, code=1)
    assert any(line.startswith(f"green {A}: ") and "HTML page" in line for line in lines), lines
    assert lines[-1] == "1 months, 100 rows in; 1 failed, see above"
    assert loaded(tmp_path) == {str(B): 100}
    publish(server, tmp_path, A)
    assert catch_up(tmp_path, server.url)[-1] == "1 months, 100 rows in"
    assert loaded(tmp_path) == {str(A): 100, str(B): 100}


def test_backfill_loads_a_range_and_the_second_time_nothing(tmp_path: Path, server: FaultyServer) -> None:
    for month in (A, B, C):
        publish(server, tmp_path, month)
    command = ("backfill", "green", str(A), str(C), "--source", server.url)
    done = taxi(tmp_path, *command)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "3 months, 300 rows in"
    assert loaded(tmp_path) == {str(A): 100, str(B): 100, str(C): 100}
    again = taxi(tmp_path, *command).stdout.splitlines()
    assert [line for line in again if "loaded already, nothing to do" in line] == again[:-1]

    done = taxi(tmp_path, "backfill", "green", str(C), str(D), "--source", server.url)
    assert done.returncode == 1
    assert f"green {D} does not exist" in done.stdout or f"green {D} is not published yet" in done.stdout


@pytest.mark.parametrize(
    ("first", "last", "sentence"),
    [
        ("2020-05", "2020-04", "2020-04 is before 2020-05: give the first month, then the last."),
        ("2013-07", "2020-04", "TLC's green files begin with 2013-08: begin there."),
    ],
)
def test_a_range_that_makes_no_sense_is_refused(tmp_path: Path, first: str, last: str, sentence: str) -> None:
    done = taxi(tmp_path, "backfill", "green", first, last)
    assert (done.returncode, done.stderr.strip()) == (1, f"taxi: {sentence}")


@pytest.mark.real
def test_six_real_months(tmp_path: Path, real_data: Path) -> None:
    done = taxi(
        tmp_path, "backfill", "green", "2020-03", "2020-08", "--source", str(real_data / "nyc-tlc-data")
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "6 months, 532,807 rows in"
    assert sum(loaded(tmp_path).values()) == 532_807
