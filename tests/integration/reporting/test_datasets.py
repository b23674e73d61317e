"""Months read by `nyc_taxi.read_trips` and its siblings: the current version only, in every form."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import nyc_taxi
from nyc_taxi.errors import SchemaError, SettingsError, TaxiError
from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.request import LoadRequest
from nyc_taxi.model.run import Run, RunContext
from nyc_taxi.pipelines.trips.run import Outcome, run_month
from nyc_taxi.reporting import datasets
from nyc_taxi.reporting.current_months import current_files
from nyc_taxi.reporting.query import query
from nyc_taxi.reporting.report.page import render
from nyc_taxi.settings import load_settings
from tests.support.builders import green_csv, month_files
from tests.support.destinations import FIXTURES, Probe

APRIL = Month(2020, 4)


@pytest.fixture(autouse=True)
def warehouse(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("DUCKDB_DATABASE", raising=False)
    return workspace


def load(month: Month, source: str | Path, destination: str = "duckdb") -> Outcome:
    request = LoadRequest(Service.GREEN, month, str(source), (destination,))
    return run_month(request, RunContext(load_settings(), Run("test", "cli")))


def published(folder: Path, trips: int, month: str = "2020-04", **cells: str) -> Path:
    """A file of a month with so many trips."""
    folder.mkdir(exist_ok=True)
    path = folder / f"green_tripdata_{month}.csv"
    green_csv(path, [{"total_amount": f"{row}.5", **cells} for row in range(1, trips + 1)])
    if month != "2020-04":
        path.write_text(path.read_text().replace("2020-04-10", f"{month}-10"))
    return path


def test_only_the_current_version_is_read(tmp_path: Path) -> None:
    first, second = published(tmp_path / "first", 30), published(tmp_path / "second", 40)
    for source, count in ((first, 30), (second, 40), (first, 30)):
        load(APRIL, source)
        assert nyc_taxi.read_trips("green", "2020-04").num_rows == count
        assert [files.trips for files in nyc_taxi.months("green")] == [count]
    assert len(list(tmp_path.glob("workspace/lake/versions/*/*/version=*"))) == 2


def test_a_version_that_no_destination_holds_is_not_read(tmp_path: Path, monkeypatch) -> None:
    load(APRIL, published(tmp_path / "first", 30))
    monkeypatch.setattr("nyc_taxi.pipelines.trips.run.open_destination", lambda *_: pytest.fail("refused"))
    with pytest.raises(pytest.fail.Exception):
        load(APRIL, published(tmp_path / "second", 40))
    assert nyc_taxi.read_trips("green", "2020-04").num_rows == 30


def test_every_form_has_the_same_rows(tmp_path: Path) -> None:
    load(APRIL, published(tmp_path / "files", 30))
    options: dict[str, Any] = {"columns": ["total_amount", "month"], "filters": pc.field("total_amount") > 20}
    table = nyc_taxi.read_trips("green", "2020-04", **options)
    assert isinstance(table, pa.Table)
    expected = [(row + 0.5, dt.date(2020, 4, 1)) for row in range(20, 31)]
    assert [tuple(row.values()) for row in table.to_pylist()] == expected
    frames = (
        nyc_taxi.read_trips("green", "2020-04", as_="pandas", **options),
        nyc_taxi.read_trips("green", "2020-04", as_="polars", **options),
    )
    for frame in frames:
        assert list(frame["total_amount"]) == [amount for amount, _ in expected]
    relation = nyc_taxi.read_trips("green", "2020-04", as_="duckdb", **options)
    assert relation.fetchall() == expected
    assert duckdb.sql("SELECT count(*) FROM relation").fetchall() == [(11,)]
    batches = nyc_taxi.read_trips("green", "2020-04", as_="batches", **options)
    assert isinstance(batches, pa.RecordBatchReader)
    assert batches.read_all() == table


def test_integers_stay_integers_in_pandas(tmp_path: Path) -> None:
    load(APRIL, published(tmp_path / "files", 5, passenger_count=""))
    frame = nyc_taxi.read_trips("green", "2020-04", as_="pandas")
    assert str(frame["passenger_count"].dtype) == "Int16"
    assert frame["pickup_location_id"].tolist() == [74] * 5


def test_several_months_are_one_table_and_a_filter_skips_files(tmp_path: Path) -> None:
    load(APRIL, published(tmp_path / "files", 30))
    load(Month(2020, 5), published(tmp_path / "files", 20, "2020-05", order="1"))  # a word of SQL
    for selection in (None, "2020-04:2020-05", ["2020-04", "2020-05"]):
        table = nyc_taxi.read_trips("green", selection)
        assert table.num_rows == 50
        assert table["order"].null_count == 30
    relation = nyc_taxi.read_trips("green", columns=["order"], as_="duckdb")
    assert sorted(relation.fetchall(), key=str) == [("1",)] * 20 + [(None,)] * 30
    may = nyc_taxi.read_trips("green", filters=[("month", "=", dt.date(2020, 5, 1))])
    assert may.num_rows == 20
    april = next(tmp_path.glob("workspace/lake/versions/service=green/month=2020-04/*/trips.parquet"))
    data = bytearray(april.read_bytes())
    data[4:200] = bytes(196)  # the footer stays readable, the rows do not
    april.write_bytes(data)
    assert nyc_taxi.read_trips("green", filters=[("month", "=", dt.date(2020, 5, 1))]).num_rows == 20


def test_only_the_columns_that_are_named_are_read(tmp_path: Path) -> None:
    load(APRIL, published(tmp_path / "files", 2000))
    before = pa.total_allocated_bytes()
    table = nyc_taxi.read_trips("green", "2020-04", columns="total_amount")
    assert table.column_names == ["total_amount"]
    assert pa.total_allocated_bytes() - before < 2000 * 8 * 3


def test_quarantine_and_quality(tmp_path: Path) -> None:
    file = published(tmp_path / "files", 20)
    backwards = file.read_text().splitlines()[1].replace("2020-04-10 09:30:00", "2020-03-01 00:00:00")
    with file.open("a", newline="") as csv:  # a trip that ends before it begins
        csv.write(backwards + "\r\n")
    load(APRIL, file)
    quarantine = nyc_taxi.read_quarantine("green", "2020-04", columns=["reasons", "month"])
    assert quarantine.to_pylist() == [{"reasons": ["dropoff_before_pickup"], "month": dt.date(2020, 4, 1)}]
    quality = nyc_taxi.read_quality("green", "2020-04", filters=[("measure", "=", "rows_in")])
    assert quality["value"].to_pylist() == [21.0]


def test_a_generated_month_is_read_only_where_it_is_named(tmp_path: Path) -> None:
    load(APRIL, "sample:300:1")
    load(Month(2020, 5), published(tmp_path / "files", 20, "2020-05"))
    assert [str(files) for files in nyc_taxi.months()] == ["green 2020-05"]
    marks = {str(files): files.source.is_sample for files in nyc_taxi.months(generated=True)}
    assert marks == {"green 2020-04": True, "green 2020-05": False}
    assert nyc_taxi.read_trips("green").num_rows == 20
    assert nyc_taxi.read_trips("green", generated=True).num_rows > 300
    with pytest.warns(UserWarning, match=r"green 2020-04: generated, not TLC's data") as warnings:
        assert nyc_taxi.read_trips("green", "2020-04").num_rows > 280
    assert warnings[0].filename == __file__
    with pytest.raises(TaxiError, match="`taxi backfill green 2020-04 2020-04`, or pass generated=True"):
        nyc_taxi.read_trips("green", "2020-04:2020-05")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            {"months": "2020-06"},
            TaxiError,
            "green 2020-06 is not in the workspace .*: run `taxi run green 2020-06` first",
        ),
        ({"months": "2020-04:2020-05"}, TaxiError, "green 2020-05 is not in the workspace"),
        ({"months": "April"}, SettingsError, "month 'April' is not a month: write it as 2020-04"),
        ({"service": "blue"}, SettingsError, "service 'blue' is not known: use one of yellow"),
        ({"service": "fhv", "months": None}, TaxiError, "no month of fhv is loaded: run"),
        ({"columns": ["total"]}, SchemaError, "the column 'total' does not exist; did you mean total_amount"),
        (
            {"columns": ["xyzzy"]},
            SchemaError,
            "the column 'xyzzy' does not exist; see docs/data-dictionary.md",
        ),
        (
            {"filters": [("fare", ">", 1)]},
            SchemaError,
            "the column 'fare' does not exist; did you mean fare_amount",
        ),
        ({"filters": pc.field("fare") > 1}, SchemaError, "the column 'fare' does not exist; did you mean"),
        (
            {"filters": [("pickup_datetime", ">", "x")]},
            SchemaError,
            "filters do not fit the columns: .*own type",
        ),
        ({"filters": [("fare_amount", "is", 1)]}, SchemaError, "filters do not fit the columns: "),
        ({"as_": "spark"}, SettingsError, "as_='spark' is not known: use one of arrow, pandas, polars"),
    ],
)
def test_errors_say_what_to_do(tmp_path: Path, call, error, message: str) -> None:
    load(APRIL, published(tmp_path / "files", 5))
    with pytest.raises(error, match=message):
        nyc_taxi.read_trips(**{"service": "green", "months": "2020-04", **call})


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = (
        "import sys; before = set(sys.modules); import nyc_taxi; new = set(sys.modules) - before\n"
        "assert {name.partition('.')[0] for name in new} <= {'nyc_taxi', *sys.stdlib_module_names}, new\n"
        "assert 'read_trips' in dir(nyc_taxi)\n"
        "nyc_taxi.read_trips; assert not {'polars', 'sqlalchemy', 'google'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="no attribute 'read_taxis'"):
        nyc_taxi.read_taxis  # noqa: B018


def test_columns_whose_types_do_not_fit_together_are_refused(tmp_path: Path) -> None:
    files = [
        month_files(tmp_path, month="2020-04", trips=1, extra={"minutes": pa.array(["a"])}),
        month_files(tmp_path, month="2020-05", trips=1, extra={"minutes": pa.array([1])}),
    ]
    with pytest.raises(SchemaError, match=r"^green 2020-04, green 2020-05: a column has types .*minutes"):
        datasets._dataset("trips", files)


def test_a_column_that_is_wider_in_one_month_is_wide_in_all(tmp_path: Path) -> None:
    files = [
        month_files(tmp_path, month="2020-04", trips=1, extra={"minutes": pa.array([1])}),
        month_files(tmp_path, month="2020-05", trips=1, extra={"minutes": pa.array([1.5])}),
    ]
    assert datasets._dataset("trips", files).to_table()["minutes"].to_pylist() == [1.0, 1.5]


@pytest.mark.parametrize("kind", ["gcs", "s3"])
def test_the_current_version_of_a_lake_in_a_bucket_is_copied_and_read(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue(FIXTURES[kind])
    monkeypatch.setenv("TAXI_LAKE", kind)
    for folder, trips in (("first", 30), ("second", 40)):
        load(APRIL, published(tmp_path / folder, trips), destination=kind)
    load(Month(2020, 5), published(tmp_path / "first", 30, "2020-05"), destination=kind)
    monkeypatch.setenv("TAXI_WORKSPACE", str(tmp_path / "another machine"))
    assert [(str(files), files.trips) for files in nyc_taxi.months("green")] == [
        ("green 2020-04", 40),
        ("green 2020-05", 30),
    ]
    assert nyc_taxi.read_trips("green", "2020-04").num_rows == 40
    assert nyc_taxi.read_trips("green").num_rows == 70
    with pytest.raises(TaxiError, match="no destination holds green 2020-06: run `taxi run green 2020-06`"):
        nyc_taxi.read_trips("green", "2020-06")


def test_a_query_and_a_report_fetch_only_what_they_read_of_a_lake_in_a_bucket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gcs_destination: Probe
) -> None:
    monkeypatch.setenv("TAXI_LAKE", "gcs")
    for month in ("2020-03", "2020-04"):
        load(Month.parse(month), published(tmp_path / "source", 30, month), destination="gcs")
    another = tmp_path / "another machine"
    monkeypatch.setenv("TAXI_WORKSPACE", str(another))

    def fetched() -> list[str]:
        return sorted(path.name for path in another.rglob("*.parquet"))

    def count(table: str) -> int:
        with query(f"SELECT count(*) AS held FROM {table}", load_settings(), on="workspace") as result:
            held: int = result.arrow()["held"][0].as_py()
        return held

    assert count("zones") == 265
    assert count("trips_yellow") == 0
    assert fetched() == []
    assert count("Taxi.Hourly_Trips") > 0
    assert fetched() == ["trips.parquet"] * 2
    with pytest.raises(TaxiError, match="reads quality without its name"):
        count("query_table('qual' || 'ity')")
    render(current_files(Service.GREEN, Month(2020, 4), load_settings()), load_settings())
    assert fetched() == ["quality.parquet"] * 2 + ["quarantine.parquet"] + ["trips.parquet"] * 2


def test_a_bucket_that_lacks_the_version_says_how_to_write_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gcs_destination: Probe
) -> None:
    load(APRIL, published(tmp_path / "source", 3))  # into DuckDB, from a local lake
    monkeypatch.setenv("TAXI_LAKE", "gcs")
    with pytest.raises(TaxiError, match=r"no longer holds version \w+; `taxi run green 2020-04 --force`"):
        nyc_taxi.read_trips("green", "2020-04")
