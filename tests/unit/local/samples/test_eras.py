"""Headers and types of every period, against the facts and, where it lies there, the real thing."""

import hashlib
import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from nyc_taxi.errors import SettingsError
from nyc_taxi.local.samples import eras, write
from nyc_taxi.local.samples.eras import csv_era, parquet_era
from nyc_taxi.model.months import Month, Service, month_range

LAST = Month(2026, 12)
REAL = Path(os.environ.get("TAXI_REAL_DATA", "/nonexistent"))
real = pytest.mark.real
needs_real = pytest.mark.skipif("TAXI_REAL_DATA" not in os.environ, reason="needs TAXI_REAL_DATA")


def head(path: Path) -> bytes:
    """A CSV's bytes up to its first row: the header line, and blank lines behind it."""
    lines = path.read_bytes().splitlines(keepends=True)
    count = 1
    while not lines[count].strip():
        count += 1
    return b"".join(lines[:count])


@pytest.mark.parametrize("service", list(Service))
def test_every_month_has_an_era_whose_columns_the_schema_knows(service: Service) -> None:
    for month in month_range(service.first_month, LAST):
        for era in (csv_era(service, month), parquet_era(service, month)):
            assert len({column.name for column in era.columns}) == len(era.columns)
            assert "pickup_datetime" in era.filled


@pytest.mark.parametrize(
    ("service", "month", "vendors"),
    [
        ("yellow", "2010-12", {"CMT", "VTS", "DDS"}),
        ("yellow", "2011-01", {1, 2}),
        ("yellow", "2024-12", {1, 2}),
        ("yellow", "2025-01", {1, 2, 6, 7}),
        ("green", "2025-01", {1, 2}),
    ],
)
def test_vendors_come_and_go(service: str, month: str, vendors: set[str | int], tmp_path: Path) -> None:
    path = tmp_path / "month.parquet"
    write(Service(service), Month.parse(month), path, rows=3000)
    assert set(pq.read_table(path).column(0).drop_null().to_pylist()) == vendors


@pytest.mark.parametrize("service", list(Service))
def test_a_month_before_the_first_is_refused(service: Service, tmp_path: Path) -> None:
    early = service.first_month - 1
    for ending in ("csv", "parquet"):
        with pytest.raises(SettingsError, match=f"{service} has no month {early}"):
            write(service, early, tmp_path / f"x.{ending}", rows=10)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("service", "month", "names", "begin", "fields"),
    [
        ("yellow", "2009-01", 18, b"vendor_name,Trip_Pickup_DateTime,", 18),
        ("yellow", "2010-01", 18, b"vendor_id,pickup_datetime,", 18),
        ("yellow", "2014-12", 18, b"vendor_id, pickup_datetime, dropoff_datetime,", 18),
        ("yellow", "2015-06", 19, b"VendorID,tpep_pickup_datetime,", 19),
        ("yellow", "2016-07", 17, b"VendorID,tpep_pickup_datetime,", 19),
        ("yellow", "2018-12", 17, b"VendorID,tpep_pickup_datetime,", 17),
        ("yellow", "2021-01", 18, b"VendorID,tpep_pickup_datetime,", 18),
        ("green", "2013-08", 20, b"VendorID,lpep_pickup_datetime,Lpep_dropoff_datetime,", 22),
        ("green", "2015-01", 21, b"VendorID,lpep_pickup_datetime,Lpep_dropoff_datetime,", 23),
        ("green", "2015-07", 21, b"VendorID,lpep_pickup_datetime,Lpep_dropoff_datetime,", 21),
        ("green", "2016-07", 19, b"VendorID,lpep_pickup_datetime,lpep_dropoff_datetime,", 21),
        ("green", "2018-01", 19, b"VendorID,lpep_pickup_datetime,", 19),
        ("green", "2020-04", 20, b"VendorID,lpep_pickup_datetime,", 20),
        ("fhv", "2016-12", 3, b"Dispatching_base_num,Pickup_date,locationID", 3),
        ("fhv", "2017-01", 5, b"Dispatching_base_num,Pickup_DateTime,", 5),
        ("fhv", "2017-07", 6, b'"Dispatching_base_num","Pickup_DateTime",', 6),
        ("fhv", "2018-01", 7, b'"Pickup_DateTime","DropOff_datetime",', 7),
        ("fhv", "2019-01", 6, b"dispatching_base_num,pickup_datetime,", 6),
        ("fhvhv", "2019-02", 7, b"hvfhs_license_num,dispatching_base_num,", 7),
        ("fhvhv", "2021-01", 24, b"hvfhs_license_num,dispatching_base_num,originating_base_num,", 24),
    ],
)
def test_header_and_rows_have_as_many_fields_as_the_real_ones(
    service: str, month: str, names: int, begin: bytes, fields: int, tmp_path: Path
) -> None:
    path = tmp_path / "x.csv"
    write(Service(service), Month.parse(month), path, rows=200)
    lines = path.read_bytes().splitlines()
    assert lines[0].startswith(begin)
    assert lines[0].count(b",") + 1 == names
    rows = [line for line in lines[1:] if line.strip()]
    assert len(rows) == 200
    assert {row.count(b",") + 1 for row in rows} == {fields}


@pytest.mark.parametrize(
    ("service", "month", "blank"),
    [
        ("yellow", "2012-05", b"\n\r\n"),
        ("yellow", "2015-05", b"\r\n"),
        ("yellow", "2017-05", b"\n\r\n"),
        ("green", "2013-12", b"Trip_type \n\r\n"),
        ("green", "2014-12", b"Trip_type \n\n\r\n"),
        ("green", "2015-05", b"Trip_type \r\n"),
        ("green", "2018-12", b"trip_type\n\r\n"),
        ("green", "2020-08", b"congestion_surcharge\r\n"),
    ],
)
def test_line_ends_and_blank_lines(service: str, month: str, blank: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    write(Service(service), Month.parse(month), path, rows=50)
    assert head(path).endswith(blank)
    rows = path.read_bytes().removeprefix(head(path))
    assert rows.count(b"\n") == rows.count(b"\r\n") == 50


@pytest.mark.parametrize(
    ("service", "digest"),
    [
        ("yellow", "f746991bd58cba147ebcc8d7bba15237f582bfa2fc33724c8c5fc07c1d5d6fd3"),
        ("green", "753617ef6e6fee0f1486e48026741eabd51800f045320025e0d14a0a62f81646"),
        ("fhv", "54874852e42bc024527b13c7839ea302fe537cd4e49e6c2bec7db0e3da9e6749"),
        ("fhvhv", "6f5f15d866ac5542e25e11b651da04aa12d8d2be8fcb661cae5f523f28466f2a"),
    ],
)
def test_headers_are_the_ones_that_were_compared_with_the_real_files(service: str, digest: str) -> None:
    """SHA-256 over the headers of all months to 2020-06: what the next test sees, without the files."""
    headers = hashlib.sha256()
    for month in month_range(Service(service).first_month, Month(2020, 6)):
        headers.update(csv_era(Service(service), month).header.encode())
    assert headers.hexdigest() == digest


@real
@needs_real
def test_every_header_is_byte_for_byte_the_real_one(tmp_path: Path) -> None:
    originals = sorted((REAL / "headers").glob("*_tripdata_*.csv"))
    assert len(originals) > 300
    wrong = []
    for original in originals:
        service, _, month = original.stem.split("_")
        write(Service(service), Month.parse(month), tmp_path / "x.csv", rows=20)
        if head(tmp_path / "x.csv") != head(original):
            wrong.append(original.name)
    assert wrong == []


@real
@needs_real
def test_parquet_schemas_are_the_real_ones(tmp_path: Path) -> None:
    originals = sorted((REAL / "trip-data").glob("*.parquet"))
    assert originals
    for original in originals:
        service, _, month = original.stem.split("_")
        write(Service(service), Month.parse(month), tmp_path / "x.parquet", rows=200)
        mine, theirs = pq.ParquetFile(tmp_path / "x.parquet"), pq.ParquetFile(original)
        assert mine.schema_arrow.remove_metadata() == theirs.schema_arrow.remove_metadata(), original.name
        assert mine.metadata.format_version == theirs.metadata.format_version, original.name
        codecs = [file.metadata.row_group(0).column(0).compression for file in (mine, theirs)]
        assert codecs[0] == codecs[1], original.name


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_a_service_whose_layout_is_not_described_is_refused(
    ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(eras, "data", lambda _: {"csv": {}, "parquet": {}})
    with pytest.raises(SettingsError, match=r"green has no generated months as \w+: add .* to eras\.yaml"):
        write(Service.GREEN, Month.parse("2020-04"), tmp_path / f"x{ending}")
