"""What a user's function adds and drops is what every destination holds; an edit and its undo too."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from nyc_taxi.errors import SchemaError, SettingsError, TaxiError, TransformError
from nyc_taxi.load.object_store.layout import data_key
from nyc_taxi.load.postgres.config import PostgresConfig
from nyc_taxi.load.registry import open_destination
from nyc_taxi.local import gcs as embedded_gcs
from nyc_taxi.local import samples
from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.references import CleanMonth, MonthFiles
from nyc_taxi.model.run import Run
from nyc_taxi.pipelines.trips.clean import clean, derive, discard_scratch
from nyc_taxi.pipelines.trips.download import download
from nyc_taxi.pipelines.trips.refine import to_parquet
from nyc_taxi.pipelines.trips.run import Outcome
from nyc_taxi.settings import PROJECT, load_settings
from nyc_taxi.transform.derive import derive_month
from tests.support.bigquery import Dataset
from tests.support.builders import green_csv, source_file
from tests.support.postgres_probe import query
from tests.support.runs import load, run_month
from tests.support.transforms import write_transform

GREEN, APRIL, MAY = Service.GREEN, Month(2020, 4), Month(2020, 5)
RUN = Run("run-1", "cli")

MINUTES = """
trips = trips[trips["trip_distance"] > 0]
trips["minutes"] = (trips["dropoff_datetime"] - trips["pickup_datetime"]).dt.total_seconds() / 60
trips["is_long"] = trips["trip_distance"] > 10
return trips
"""
NOTHING = "return trips"
COLUMNS = ["minutes", "is_long"]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    folder.mkdir()
    samples.write(GREEN, APRIL, folder / "green_tripdata_2020-04.csv", rows=2000, malformed=2)
    samples.write(GREEN, MAY, folder / "green_tripdata_2020-05.csv", rows=300)
    return folder


@pytest.fixture
def transform(workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Writes the function that the settings name; DuckDB, Postgres and the bucket are the test's own."""
    path = write_transform(tmp_path / "derive_trips.py", NOTHING)
    monkeypatch.setenv("TAXI_TRANSFORM", str(path))
    monkeypatch.setenv("DUCKDB_DATABASE", str(tmp_path / "warehouse.duckdb"))
    monkeypatch.setenv("GCS_BUCKET", "")
    yield lambda body, annotation="": write_transform(path, body, annotation)
    embedded_gcs.stop(workspace / "gcs")


def run(source: Path, *destinations: str, month: Month = APRIL) -> Outcome:
    return run_month(GREEN, month, str(source), list(destinations or ["duckdb"]), RUN)


def in_duckdb(tmp_path: Path, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(tmp_path / "warehouse.duckdb", read_only=True) as connection:
        connection.execute("SET schema = 'taxi'")
        return connection.execute(sql).fetchall()


def expected(files: MonthFiles) -> list[tuple[Any, ...]]:
    table = pq.read_table(files.trips_path, columns=["source_row", *COLUMNS])
    return [tuple(row.values()) for row in table.to_pylist()]


def test_every_destination_holds_the_columns_and_the_dropped_trips(
    transform: Any, source: Path, postgres: PostgresConfig, tmp_path: Path
) -> None:
    before = run(source, "duckdb").files
    transform(MINUTES)
    outcome = run(source, "postgres", "gcs", "duckdb")
    files = outcome.files
    dropped = files.quarantined["derive_trips"]
    assert dropped == before.flagged["no_distance"]
    assert files.trips == before.trips - dropped
    assert files.rows_in == files.trips + files.rows_quarantined == 2000
    assert files.version != before.version
    assert [loaded.entry.rows_loaded for loaded in outcome.loaded] == [files.trips] * 3
    assert list(outcome.seconds)[:3] == ["download", "clean", "derive"]
    rows = expected(files)
    assert len(rows) == files.trips
    assert len({minutes for _, minutes, _ in rows}) > 10

    where = f"FROM trips_green WHERE month = '{APRIL.first_day}'"
    select = f"SELECT source_row, {', '.join(COLUMNS)} {where} ORDER BY source_row"
    reasons = "SELECT count(*) FROM quarantine_green WHERE 'derive_trips' = ANY(reasons)"
    comment = "Added by the transform derive_trips()."
    assert query(postgres, select) == rows == in_duckdb(tmp_path, select)
    assert query(postgres, reasons) == in_duckdb(tmp_path, reasons) == [(dropped,)]
    described = (
        "SELECT col_description('taxi.trips_green'::regclass, attnum) FROM pg_attribute"
        " WHERE attname = 'minutes'"
    )
    assert (comment,) in query(postgres, described)
    described = "SELECT DISTINCT comment FROM duckdb_columns() WHERE column_name = 'is_long'"
    assert in_duckdb(tmp_path, described) == [(comment,)]
    store: Any = open_destination("gcs", load_settings())
    content = store.read_object(data_key("trips", GREEN, APRIL))
    assert content == files.trips_path.read_bytes()
    assert pq.read_table(io.BytesIO(content)).column_names[-2:] == COLUMNS


def test_bigquery_holds_them_too(
    transform: Any,
    bigquery: Dataset,
    tmp_path: Path,
) -> None:
    month = bigquery.month()
    path = tmp_path / f"green_tripdata_{month}.csv"
    samples.write(GREEN, Month.parse(month), path, rows=200)
    transform(MINUTES)
    settings = load_settings()
    derived = derive(clean(source_file(path, GREEN, month), settings), settings)
    files = to_parquet(derived, settings)
    load(files, "bigquery", RUN)
    where = f"WHERE month = '{month}-01'"
    select = f"SELECT source_row, {', '.join(COLUMNS)} FROM trips_green {where} ORDER BY source_row"
    assert bigquery.ask(select) == expected(files)
    reasons = f"SELECT COUNT(*) FROM quarantine_green {where} AND 'derive_trips' IN UNNEST(reasons)"
    assert bigquery.ask(reasons) == [(files.quarantined["derive_trips"],)]
    table = bigquery.connection.client.get_table(bigquery.connection.name("trips_green"))
    fields = {field.name: field for field in table.schema}
    assert fields["minutes"].description == "Added by the transform derive_trips()."
    assert fields["is_long"].field_type in ("BOOLEAN", "BOOL")


def test_the_shipped_function_changes_no_byte(
    transform: Any, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes_nothing = run(source).files
    monkeypatch.delenv("TAXI_TRANSFORM")  # now it is the project's own
    outcome = run(source)
    assert outcome.loaded[0].skipped
    assert outcome.files == changes_nothing
    assert "derive" not in run(source).seconds


def test_an_edit_is_loaded_and_an_undo_brings_the_old_month_back(
    transform: Any, source: Path, postgres: PostgresConfig, tmp_path: Path
) -> None:
    select = "SELECT count(*), count(minutes) FROM trips_green"
    first = run(source, "postgres", "duckdb").files
    transform(MINUTES)
    second = run(source, "postgres", "duckdb").files
    assert query(postgres, select) == in_duckdb(tmp_path, select) == [(second.trips, second.trips)]
    assert run(source, "postgres").loaded[0].skipped
    transform(MINUTES.replace("> 10", "> 9"))
    third = run(source, "postgres", "duckdb").files
    assert len({first.version, second.version, third.version}) == 3
    transform(MINUTES)
    outcome = run(source, "postgres", "duckdb")
    assert outcome.files == second
    assert not any(loaded.skipped for loaded in outcome.loaded)
    transform(NOTHING)
    assert run(source, "postgres", "duckdb").files == first
    assert query(postgres, select) == in_duckdb(tmp_path, select) == [(first.trips, 0)]


def test_a_column_that_a_later_function_lacks_is_null_from_then_on(
    transform: Any, source: Path, postgres: PostgresConfig, tmp_path: Path
) -> None:
    transform(MINUTES)
    april = run(source, "postgres", "duckdb").files
    transform("trips['speed'] = trips['trip_distance'] * 1\nreturn trips")
    may = run(source, "postgres", "duckdb", month=MAY).files
    counts = "count(minutes), count(is_long), count(speed)"
    select = f"SELECT month::text, {counts} FROM trips_green GROUP BY 1 ORDER BY 1"
    rows = [("2020-04-01", april.trips, april.trips, 0), ("2020-05-01", 0, 0, may.trips)]
    assert query(postgres, select) == in_duckdb(tmp_path, select) == rows
    april = run(source, "postgres", "duckdb").files
    rows[0] = ("2020-04-01", 0, 0, april.trips)
    assert query(postgres, select) == in_duckdb(tmp_path, select) == rows


def test_a_column_whose_type_changes_is_refused_and_the_old_month_stays(
    transform: Any, source: Path, postgres: PostgresConfig, tmp_path: Path
) -> None:
    transform(MINUTES)
    files = run(source, "postgres", "duckdb").files
    transform("trips['minutes'] = 'many'\nreturn trips")
    for destination, types in {
        "postgres": "is text, but double precision in the table",
        "duckdb": "is DOUBLE, but VARCHAR in the month",
    }.items():
        with pytest.raises(
            SchemaError, match=rf"the column minutes {types}.*; otherwise give it the table's type or another"
        ):
            run(source, destination)
    select = "SELECT count(*), count(minutes) FROM trips_green"
    assert query(postgres, select) == in_duckdb(tmp_path, select) == [(files.trips, files.trips)]
    transform("trips['minutes_text'] = 'many'\nreturn trips")
    run(source, "postgres", "duckdb")


def test_steps_one_by_one_are_the_run_and_are_done_once(
    transform: Any, source: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    transform(MINUTES)
    settings = load_settings()
    cleaned = clean(download(GREEN, APRIL, str(source), settings), settings)
    progress: list[tuple[int, int | None]] = []
    with caplog.at_level(logging.INFO, "nyc_taxi"):
        derived = derive(cleaned, settings, lambda done, total: progress.append((done, total)))
    count = f"{derived.quarantined['derive_trips']:,}"
    assert (
        f"derive_trips() adds minutes, is_long and drops {count} of the trips of green 2020-04."
        in caplog.messages
    )
    assert progress[-1][1] == 2000
    with monkeypatch.context() as patch:
        patch.setattr("nyc_taxi.transform.derive.derive_month", None)
        assert derive(cleaned, settings) == derived == derive(derived, settings)
    files = to_parquet(derived, settings)
    discard_scratch(derived)
    assert run(source).files == files
    with monkeypatch.context() as patch:  # the Parquet is there
        patch.setattr("nyc_taxi.transform.clean.clean_month", None)
        again = clean(cleaned.source, settings)
        assert again.version == files.version
        assert derive(again, settings) == again


def test_a_function_edited_after_cleaning_is_applied_to_the_month_cleaned_again(
    transform: Any, source: Path
) -> None:
    transform(MINUTES)
    settings = load_settings()
    cleaned = clean(download(GREEN, APRIL, str(source), settings), settings)
    derived = derive(cleaned, settings)
    to_parquet(derived, settings)
    discard_scratch(derived)
    transform(MINUTES.replace("> 10", "> 9"))
    for earlier in (cleaned, derived):  # as a block of Mage finds it in its input
        edited = derive(earlier, settings)
        assert edited.version not in (cleaned.version, derived.version)
        assert edited.trips == derived.trips
    with pytest.raises(TaxiError, match=r"derive_trips\.py has changed since the month was cleaned; clean"):
        to_parquet(derived, settings)
    transform(NOTHING)
    undone = derive(derived, settings)
    assert undone == derive(undone, settings)
    assert (undone.version, undone.derived_columns) == (cleaned.version, [])


def test_a_refused_month_stays_as_it_was(transform: Any, source: Path, tmp_path: Path) -> None:
    run(source)
    before = in_duckdb(tmp_path, "FROM ledger")
    transform("return trips[::-1]")
    with pytest.raises(TransformError, match="returns the trips in another order"):
        run(source)
    assert in_duckdb(tmp_path, "FROM ledger") == before


def test_unreadable_rows_and_months_without_a_trip_are_no_obstacle(transform: Any, tmp_path: Path) -> None:
    transform(MINUTES)
    files = tmp_path / "few"
    files.mkdir()
    green_csv(files / "green_tripdata_2020-04.csv", [{"lpep_pickup_datetime": "2009-01-01 00:00:00"}] * 3)
    outcome = run_month(GREEN, APRIL, str(files), ["duckdb"], accept=True).files
    assert (outcome.trips, outcome.derived_columns, outcome.rows_quarantined) == (0, [], 3)


def test_a_file_that_does_not_exist_is_refused_unless_it_is_the_default(
    transform: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAXI_TRANSFORM", "no/such/file.py")
    with pytest.raises(
        SettingsError, match=r"^TAXI_TRANSFORM='no/such/file\.py' is not valid: .*does not exist"
    ):
        load_settings()


CLI = """
import sys
from nyc_taxi.cli import main
sys.argv = ["taxi", *sys.argv[1:]]
main()
"""


@pytest.mark.real
@pytest.mark.parametrize("annotation", ["pd.DataFrame", "pl.DataFrame"])
def test_real_green_april_through_the_command_line(
    transform: Any, real_data: Path, tmp_path: Path, annotation: str
) -> None:
    bodies = {
        "pd.DataFrame": MINUTES,
        "pl.DataFrame": """
            return trips.filter(pl.col("trip_distance") > 0).with_columns(
                minutes=(pl.col("dropoff_datetime") - pl.col("pickup_datetime")).dt.total_seconds() / 60,
                is_long=pl.col("trip_distance") > 10,
            )
        """,
    }
    transform(bodies[annotation], annotation)
    source = str(real_data / "nyc-tlc-data" / "green")
    command = [sys.executable, "-c", CLI, "run", "green", "2020-04", "--source", source, "--to", "duckdb"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, env=dict(os.environ))
    assert done.returncode == 0, done.stderr
    assert "derive_trips 1,749" in done.stdout
    assert in_duckdb(
        tmp_path, "SELECT count(*), count(minutes), min(trip_distance) > 0 FROM trips_green"
    ) == [(33_857, 33_857, True)]
    assert in_duckdb(tmp_path, "SELECT reasons, count(*) FROM quarantine_green GROUP BY 1 ORDER BY 2") == [
        (["outside_month"], 6),
        (["derive_trips"], 1749),
    ]
    assert in_duckdb(tmp_path, "SELECT rows_in, rows_loaded + rows_quarantined FROM ledger") == [
        (35_612, 35_612)
    ]
    [manifest] = (load_settings().workspace / "lake" / "versions").rglob("manifest.json")
    assert json.loads(manifest.read_text())["derived_columns"] == COLUMNS


def test_a_run_begins_again_when_another_has_removed_its_scratch_files(
    source: Path, transform: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other run has finished the same month in the meantime."""
    transform(MINUTES)
    calls: list[CleanMonth] = []

    def overtaken(cleaned: CleanMonth, *arguments: Any) -> CleanMonth:
        calls.append(cleaned)
        if len(calls) == 1:
            run(source, "duckdb")
        return derive_month(cleaned, *arguments)

    monkeypatch.setattr("nyc_taxi.transform.derive.derive_month", overtaken)
    outcome = run(source, "duckdb")
    assert len(calls) >= 2
    assert [each.skipped for each in outcome.loaded] == [True]
    assert outcome.files.derived_columns == COLUMNS
