from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml

from nyc_taxi.local import samples
from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.references import MonthFiles
from nyc_taxi.schema import service_columns
from nyc_taxi.transform import quality
from nyc_taxi.transform.read.csv import CsvReader
from nyc_taxi.transform.rule_checks import load_rules
from tests.support.builders import RULES, green_csv, parquet_month, source_file

MEASURES = ("min", "median", "max", "sum")


def report(files: MonthFiles) -> dict[str, dict[str, Any]]:
    """Figures by measure and subject."""
    figures: dict[str, dict[str, Any]] = {}
    for row in pq.read_table(files.quality_path).to_pylist():
        subjects = figures.setdefault(row["measure"], {})
        assert row["subject"] not in subjects
        subjects[row["subject"]] = row["value"]
    return figures


@pytest.fixture(scope="module", params=["green", "fhvhv"])
def month(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> MonthFiles:
    folder = tmp_path_factory.mktemp("quality")
    service = Service(request.param)
    path = folder / "trips.csv"
    samples.write(service, Month(2021, 1), path, rows=4000, malformed=5)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(CsvReader.__init__, "__defaults__", (100_000,))  # many batches
        return parquet_month(source_file(path, service, "2021-01"), folder, threads=2)


def test_counts_are_the_months(month: MonthFiles) -> None:
    figures = report(month)
    assert figures["rows_in"] == {"": month.rows_in}
    assert figures["trips"] == {"": month.trips}
    assert figures["quarantined"] == {"": month.rows_quarantined, **month.quarantined}
    assert figures["flagged"] == month.flagged
    assert month.quarantined["unreadable"] == 5
    assert "unknown_column" not in figures


def test_figures_are_those_of_pandas(month: MonthFiles) -> None:
    figures = report(month)
    trips = pd.read_parquet(month.trips_path)
    measured = 0
    for column in service_columns(month.service):
        values = trips[column.name]
        assert figures["null_share"][column.name] == pytest.approx(values.isna().mean())
        is_measure = column.type in ("float64", "int32") or column.name == "passenger_count"
        if not is_measure or values.isna().all():
            assert not any(column.name in figures[measure] for measure in MEASURES)
            continue
        measured += 1
        numbers = values.astype(float)
        for measure in MEASURES:
            assert figures[measure][column.name] == pytest.approx(getattr(numbers, measure)()), column.name
    assert measured >= 8


def test_days_are_those_of_duckdb(month: MonthFiles) -> None:
    trips = f"read_parquet('{month.trips_path}')"
    query = f"SELECT pickup_datetime::DATE::VARCHAR, count(*) FROM {trips} GROUP BY 1 ORDER BY 1"
    days = duckdb.sql(query).fetchall()
    assert list(report(month)["trips_on_day"].items()) == days
    assert len(days) == 31


def test_medians_of_large_months_come_from_every_kth_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quality, "MEDIAN_ROWS", 25)
    lines = [{"trip_distance": str(number)} for number in range(1, 102)]  # 101 rows: every fifth is looked at
    figures = report(parquet_month(green_csv(tmp_path / "green.csv", lines), tmp_path))
    assert figures["median"]["trip_distance"] == 52.5  # 5, 10, ..., 100
    assert figures["min"]["trip_distance"] == 1
    assert figures["max"]["trip_distance"] == 101


def test_a_median_of_nothing_is_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quality, "MEDIAN_ROWS", 1)
    lines = [{"ehail_fee": "3"}, {}, {}]
    figures = report(parquet_month(green_csv(tmp_path / "green.csv", lines), tmp_path))
    assert {measure: figures[measure]["ehail_fee"] for measure in MEASURES} == {
        "min": 3.0,
        "median": None,
        "max": 3.0,
        "sum": 3.0,
    }


def test_a_month_without_trips_has_a_report(tmp_path: Path) -> None:
    lines = [{"lpep_pickup_datetime": "2009-01-01 00:00:00"}]
    figures = report(parquet_month(green_csv(tmp_path / "green.csv", lines), tmp_path))
    assert figures["trips"] == {"": 0}
    assert figures["quarantined"] == {"": 1, "outside_month": 1}
    assert not figures.keys() & {*MEASURES, "trips_on_day"}


def test_unknown_columns_are_named(tmp_path: Path) -> None:
    figures = report(parquet_month(green_csv(tmp_path / "green.csv", [{"New Fee": "1"}]), tmp_path))
    assert figures["unknown_column"] == {"new_fee": None}


def test_trips_without_a_time_are_on_no_day(tmp_path: Path) -> None:
    """Such trips exist when the rules that quarantine them are switched off."""
    rules = yaml.safe_load(RULES.read_text())
    for rule in rules["rules"]:
        rule["enabled"] = rule["name"] not in ("missing_pickup_time", "outside_month")
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump(rules))
    lines = [{}, {"lpep_pickup_datetime": ""}, {"lpep_pickup_datetime": "1969-12-31 23:59:59"}]
    source = green_csv(tmp_path / "green.csv", lines)
    figures = report(parquet_month(source, tmp_path, load_rules(path, Service.GREEN)))
    assert figures["trips_on_day"] == {"1969-12-31": 1, "2020-04-10": 1}
    assert figures["null_share"]["pickup_datetime"] == pytest.approx(1 / 3)
