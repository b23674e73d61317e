"""How values are written in each period."""

import csv
import gzip
import re
from pathlib import Path

import numpy as np
import pytest

from nyc_taxi.errors import SettingsError
from nyc_taxi.local.samples import write
from nyc_taxi.model.months import Month, Service


def columns(service: str, month: str, path: Path, **options: int) -> dict[str, list[str]]:
    """A sample's cells as text, by the header's names."""
    write(Service(service), Month.parse(month), path, **({"rows": 3000} | options))  # type: ignore[arg-type]
    with path.open(newline="") as file:
        rows = [row for row in csv.reader(file) if row]
    return {name: [row[place] for row in rows[1:]] for place, name in enumerate(rows[0])}


def assert_all(cells: list[str], pattern: str) -> None:
    assert [cell for cell in cells if not re.fullmatch(pattern, cell)] == []


def test_2009_has_floats_of_17_digits_and_texts_for_codes(tmp_path: Path) -> None:
    cells = columns("yellow", "2009-03", tmp_path / "x.csv")
    assert set(cells["vendor_name"]) == {"CMT", "VTS", "DDS"}
    assert {"Credit", "CREDIT", "Cash", "CASH"} <= set(cells["Payment_Type"])
    assert set(cells["Rate_Code"]) == set(cells["mta_tax"]) == {""}
    assert set(cells["store_and_forward"]) == {"0", "1", ""}
    assert any(re.fullmatch(r"\d\.\d{16}", cell) for cell in cells["Fare_Amt"])
    assert any(re.fullmatch(r"-7\d\.\d{15}", cell) for cell in cells["Start_Lon"])
    for cell in cells["Fare_Amt"] + cells["Trip_Distance"]:
        assert cell == f"{float(cell):.17g}"


def test_2010_changes_its_texts_in_august(tmp_path: Path) -> None:
    assert {"CAS", "Cas", "Cre"} <= set(columns("yellow", "2010-07", tmp_path / "x.csv")["payment_type"])
    cells = columns("yellow", "2010-08", tmp_path / "x.csv")
    assert {"CSH", "CRD"} <= set(cells["payment_type"])
    assert set(cells["store_and_fwd_flag"]) == {"N", "Y", ""}


def test_coordinates_of_single_precision(tmp_path: Path) -> None:
    cells = columns("yellow", "2015-01", tmp_path / "x.csv")
    some = [cell for cell in cells["pickup_longitude"] if cell != "0"]
    for cell in some:
        assert cell == f"{float(np.float32(cell)):.17g}"
    assert any(len(cell) == len("-73.962661743164062") for cell in some)
    assert "0" in cells["dropoff_latitude"]


def test_numbers_of_2020(tmp_path: Path) -> None:
    cells = columns("green", "2020-04", tmp_path / "x.csv")
    assert_all(cells["trip_distance"], r"\d*\.\d\d")
    assert not any(cell.startswith("0") for cell in cells["trip_distance"])
    for name in ("fare_amount", "total_amount", "tip_amount"):
        assert_all(cells[name], r"-?\d+(\.\d?[1-9])?")
    assert set(cells["ehail_fee"]) == {""}
    assert_all(cells["lpep_pickup_datetime"], r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")


def test_congestion_surcharge_is_empty_in_january_2019_only(tmp_path: Path) -> None:
    assert set(columns("yellow", "2019-01", tmp_path / "x.csv")["congestion_surcharge"]) == {""}
    assert {"2.5", "0"} < set(columns("yellow", "2019-02", tmp_path / "x.csv")["congestion_surcharge"])


def test_fhv_quotes_every_field_in_2017_and_2018(tmp_path: Path) -> None:
    cells = columns("fhv", "2018-03", tmp_path / "x.csv")
    for line in (tmp_path / "x.csv").read_text().splitlines():
        assert re.fullmatch(r'("[^"]*",){6}"[^"]*"', line)
    assert set(cells["Dispatching_base_num"]) == {""}
    assert_all(cells["Dispatching_base_number"], r"B\d{5}")


def test_republished_fhvhv_has_iso_times_and_quoted_nothing(tmp_path: Path) -> None:
    cells = columns("fhvhv", "2021-01", tmp_path / "x.csv")
    assert_all(cells["pickup_datetime"], r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.000Z")
    assert_all(cells["tolls"], r"\d+\.\d{1,2}")
    assert set(cells["airport_fee"]) == {""}
    raw = (tmp_path / "x.csv").read_bytes()
    assert raw.count(b',"",') > 3000
    assert b"\r" not in raw


def test_exported_csv_of_2025_quotes_texts_only(tmp_path: Path) -> None:
    columns("yellow", "2025-01", tmp_path / "x.csv", rows=100)
    row = (tmp_path / "x.csv").read_text().splitlines()[1]
    assert re.match(r'\d,2025-01-\d\d \d\d:\d\d:\d\d\.000000,2025.*,"[NY]",\d+,', row)


def test_gzip_holds_the_same_bytes_and_no_time(tmp_path: Path) -> None:
    for name in ("x.csv", "x.csv.gz"):
        write(Service.GREEN, Month(2020, 4), tmp_path / name, rows=3000)
    packed = (tmp_path / "x.csv.gz").read_bytes()
    assert gzip.decompress(packed) == (tmp_path / "x.csv").read_bytes()
    assert packed[3:8] == bytes(5)  # no name, no time
    assert len(packed) < (tmp_path / "x.csv").stat().st_size / 3


@pytest.mark.parametrize(
    ("service", "month", "bad"),
    [
        ("yellow", "2021-01", {"tpep_pickup_datetime", "total_amount", "PULocationID"}),
        ("yellow", "2009-01", {"Trip_Pickup_DateTime", "Total_Amt"}),
        ("fhv", "2015-01", {"Pickup_date", "locationID"}),
        ("fhv", "2018-01", {"Pickup_DateTime", "PUlocationID"}),
        ("fhvhv", "2021-01", {"pickup_datetime", "PULocationID"}),
    ],
)
def test_malformed_rows_are_as_many_as_asked_for(
    service: str, month: str, bad: set[str], tmp_path: Path
) -> None:
    cells = columns(service, month, tmp_path / "x.csv", malformed=7)
    spoilt: dict[str, set[int]] = {
        name: {place for place, cell in enumerate(column) if re.search(r"\dO|-02-30", cell)}
        for name, column in cells.items()
    }
    assert {name for name, places in spoilt.items() if places} == bad
    assert sum(len(places) for places in spoilt.values()) == len(set.union(*spoilt.values())) == 7


def test_malformed_parquet_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="malformed=1 is only possible in CSV"):
        write(Service.YELLOW, Month(2025, 1), tmp_path / "x.parquet", rows=100, malformed=1)
    assert list(tmp_path.iterdir()) == []
