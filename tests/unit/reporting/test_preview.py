import datetime as dt
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.references import MonthFiles
from nyc_taxi.model.run import Run
from nyc_taxi.pipelines.trips.clean import clean
from nyc_taxi.pipelines.trips.download import download
from nyc_taxi.pipelines.trips.refine import to_parquet
from nyc_taxi.reporting import preview
from nyc_taxi.settings import load_settings
from tests.support.builders import GREEN_TRIP, green_csv, read_all, source_file
from tests.support.runs import run_month

BROKEN = {"total_amount": "1O.80"}
STRAY = {"lpep_pickup_datetime": "2009-01-01 00:00:00"}
ODD = {"trip_distance": "301", "passenger_count": "7"}
LINES = [{}, BROKEN, ODD, {"passenger_count": "", "ehail_fee": ""}, STRAY, {}]


@pytest.fixture(autouse=True)
def _lenient(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One row in six of these small months cannot be read."""
    monkeypatch.setenv("TAXI_MAX_UNREADABLE", "0.5")


@pytest.fixture
def files(tmp_path: Path) -> MonthFiles:
    green_csv(tmp_path / "green_tripdata_2020-04.csv", LINES)
    source = download(Service.GREEN, Month(2020, 4), str(tmp_path), load_settings())
    return to_parquet(clean(source, load_settings()), load_settings())


def test_the_first_rows_of_the_source(tmp_path: Path) -> None:
    source = green_csv(tmp_path / "green.csv", LINES)
    frame = preview.raw(source)
    assert len(frame) == 5  # all that can be read, before any rule
    assert frame.attrs["sample"] == "the first 5 rows of the file"
    assert list(frame["trip_distance"]) == [2.5, 301.0, 2.5, 2.5, 2.5]
    assert frame["passenger_count"].dtype == "Int16"
    assert frame["passenger_count"].isna().tolist() == [False, False, True, False, False]
    assert frame["pickup_datetime"][3] == dt.datetime(2009, 1, 1)


def test_a_preview_of_a_large_file_reads_only_its_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = green_csv(tmp_path / "green.csv", [{} for _ in range(3000)], end="\n\n")
    parsed: list[int] = []
    parse = preview.open_month(source).__class__.parse

    def count(self: object, block: bytes) -> object:
        parsed.append(block.count(b"\n"))
        return parse(self, block)  # type: ignore[arg-type]

    monkeypatch.setattr("nyc_taxi.transform.read.csv.CsvReader.parse", count)
    assert len(preview.raw(source, rows=3)) == 2  # every other line is blank
    assert len(preview.raw(source, rows=10)) == 5
    assert parsed == [4, 11]


def test_the_first_rows_of_a_parquet_source(tmp_path: Path) -> None:
    names = [name for name in GREEN_TRIP if name.endswith(("datetime", "amount", "distance"))]
    rows = read_all(preview.open_month(green_csv(tmp_path / "green.csv", LINES))).rows.values()
    canonical = [name.removeprefix("lpep_") for name in names]
    table = pa.Table.from_pylist(list(rows)).select(canonical).rename_columns(names)
    pq.write_table(table, tmp_path / "green.parquet")
    frame = preview.raw(source_file(tmp_path / "green.parquet"), rows=3)
    assert list(frame["trip_distance"]) == [2.5, 301.0, 2.5]


def test_a_source_without_rows(tmp_path: Path) -> None:
    frame = preview.raw(green_csv(tmp_path / "green.csv", []))
    assert len(frame) == 0
    assert "pickup_datetime" in frame.columns


def test_the_cleaned_month_before_and_after_it_is_parquet(tmp_path: Path) -> None:
    green_csv(tmp_path / "green_tripdata_2020-04.csv", LINES)
    cleaned = clean(download(Service.GREEN, Month(2020, 4), str(tmp_path), load_settings()), load_settings())
    before = preview.month(cleaned, load_settings(), rows=20)
    assert list(before)[:2] == ["reasons", "flags"]
    assert list(before["source_row"]) == [2, 5, 1, 3, 4, 6]  # the quarantined ones first
    assert list(before["reasons"]) == ["unreadable", "outside_month", "", "", "", ""]
    assert list(before["flags"]) == ["", "", "", "many_passengers, absurd_distance", "", ""]
    assert before["pickup_datetime"].isna().tolist() == [True, *[False] * 5]
    assert before["pickup_datetime"][1] == dt.datetime(2009, 1, 1)
    assert before.attrs["sample"] == "all 2 quarantined rows, then all 4 trips"
    assert len(preview.month(cleaned, load_settings(), rows=2)) == 2
    files = run_month(Service.GREEN, Month(2020, 4), str(tmp_path), [], Run("1", "cli")).files
    assert not cleaned.folder.exists()
    for stage in (cleaned, files):
        pd.testing.assert_frame_equal(preview.month(stage, load_settings(), rows=20), before)
    trips_only = before[before["reasons"] == ""].drop(columns="reasons").reset_index(drop=True)
    pd.testing.assert_frame_equal(preview.trips(files), trips_only)
    assert preview.trips(files).attrs["sample"] == "all 4 trips"


def test_trips_quarantine_and_quality(files: MonthFiles) -> None:
    assert len(preview.trips(files, rows=3)) == 3
    quarantine = preview.quarantine(files)
    assert list(quarantine["source_row"]) == [2, 5]
    assert list(quarantine["reasons"]) == ["unreadable", "outside_month"]
    assert len(preview.quarantine(files, rows=1)) == 1
    quality = preview.quality(files)
    assert quality["value"][list(quality["measure"]).index("trips")] == files.trips


def test_no_cell_holds_a_list(files: MonthFiles) -> None:
    """The pages that show dataframes fail on them."""
    for frame in (preview.trips(files), preview.quarantine(files), preview.quality(files)):
        assert not any(isinstance(cell, list | tuple) for name in frame.columns for cell in frame[name])


def test_a_month_without_trips(tmp_path: Path) -> None:
    green_csv(tmp_path / "green_tripdata_2020-04.csv", [STRAY])
    cleaned = clean(download(Service.GREEN, Month(2020, 4), str(tmp_path), load_settings()), load_settings())
    assert list(preview.month(cleaned, load_settings(), rows=20)["reasons"]) == ["outside_month"]
    files = to_parquet(cleaned, load_settings())
    assert len(preview.trips(files)) == 0
    columns = [name for name in preview.month(cleaned, load_settings()) if name != "reasons"]
    assert list(preview.trips(files)) == columns


def test_a_sample_is_of_the_whole_month_and_the_same_at_every_stage(workspace: Path) -> None:
    source = download(Service.GREEN, Month(2020, 4), "sample:3000:1", load_settings())
    cleaned = clean(source, load_settings())
    before = preview.month(cleaned, load_settings(), rows=200)
    drawn = before[before["reasons"] == ""]
    assert len(before) == 200
    quarantined = min(cleaned.rows_quarantined, preview.QUARANTINED_ROWS)
    assert (before["reasons"] != "").tolist() == [True] * quarantined + [False] * (200 - quarantined)
    assert drawn["source_row"].is_monotonic_increasing
    thirds = (drawn["source_row"] - 1) // 1000
    assert all(40 <= count <= 80 for count in thirds.value_counts()), "drawn from the whole file"
    assert f"of {cleaned.trips:,} trips, drawn at random" in before.attrs["sample"]
    files = to_parquet(cleaned, load_settings())
    pd.testing.assert_frame_equal(preview.month(files, load_settings(), rows=200), before)
    assert preview.month(files, load_settings(), rows=200).attrs == before.attrs
