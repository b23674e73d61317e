"""Parquet as TLC publishes it: names, types, codecs, row groups."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from nyc_taxi.local.samples import write
from nyc_taxi.model.months import Month, Service


def sample(service: str, month: str, folder: Path) -> pq.ParquetFile:
    path = folder / "x.parquet"
    write(Service(service), Month.parse(month), path, rows=2000)
    return pq.ParquetFile(path)


def types(file: pq.ParquetFile) -> dict[str, str]:
    return {field.name: str(field.type) for field in file.schema_arrow}


@pytest.mark.parametrize(
    ("service", "month", "some", "codec"),
    [
        ("yellow", "2009-06", {"Trip_Pickup_DateTime": "string", "store_and_forward": "double"}, "SNAPPY"),
        ("yellow", "2010-06", {"pickup_datetime": "string", "rate_code": "string"}, "SNAPPY"),
        ("yellow", "2016-01", {"PULocationID": "int64", "passenger_count": "int64"}, "GZIP"),
        ("yellow", "2016-01", {"airport_fee": "null", "congestion_surcharge": "null"}, "GZIP"),
        ("yellow", "2020-10", {"airport_fee": "null", "passenger_count": "double"}, "GZIP"),
        ("yellow", "2023-01", {"VendorID": "int64", "RatecodeID": "double"}, "GZIP"),
        ("yellow", "2023-02", {"VendorID": "int32", "RatecodeID": "int64", "Airport_fee": "double"}, "ZSTD"),
        ("green", "2022-01", {"ehail_fee": "null", "trip_type": "double"}, "GZIP"),
        ("green", "2022-01", {"store_and_fwd_flag": "string", "payment_type": "double"}, "GZIP"),
        ("green", "2023-02", {"ehail_fee": "double", "trip_type": "int64"}, "ZSTD"),
        ("green", "2023-02", {"store_and_fwd_flag": "large_string", "PULocationID": "int32"}, "ZSTD"),
        ("fhv", "2020-02", {"dropOff_datetime": "timestamp[us]", "SR_Flag": "null"}, "GZIP"),
        ("fhv", "2024-01", {"PUlocationID": "int64", "Affiliated_base_number": "large_string"}, "ZSTD"),
        ("fhvhv", "2019-02", {"airport_fee": "null", "wav_match_flag": "null"}, "GZIP"),
        ("fhvhv", "2025-01", {"cbd_congestion_fee": "double", "PULocationID": "int32"}, "ZSTD"),
    ],
)
def test_types_of_the_period(
    service: str, month: str, some: dict[str, str], codec: str, tmp_path: Path
) -> None:
    file = sample(service, month, tmp_path)
    assert types(file).items() >= some.items()
    assert file.metadata.row_group(0).column(0).compression == codec


@pytest.mark.parametrize("month", ["2024-12", "2025-01"])
@pytest.mark.parametrize(
    ("service", "before", "last"), [("yellow", "Airport_fee", 20), ("green", "congestion_surcharge", 21)]
)
def test_2025_adds_a_last_column(service: str, before: str, last: int, month: str, tmp_path: Path) -> None:
    names = list(types(sample(service, month, tmp_path)))
    new = ["cbd_congestion_fee"] if month == "2025-01" else []
    assert names[names.index(before) + 1 :] == new
    assert len(names) == last - 1 + len(new)


def test_format_version(tmp_path: Path) -> None:
    assert sample("green", "2023-12", tmp_path).metadata.format_version == "1.0"
    assert sample("green", "2024-01", tmp_path).metadata.format_version == "2.6"


def test_several_row_groups(tmp_path: Path) -> None:
    metadata = sample("yellow", "2025-02", tmp_path).metadata
    assert metadata.num_row_groups > 3
    assert metadata.num_rows == 2000


def test_null_block_of_yellow_has_a_vendor_and_payment_type_0(tmp_path: Path) -> None:
    table = sample("yellow", "2025-02", tmp_path).read().to_pandas()
    block = table[table["passenger_count"].isna()]
    assert len(block) == 450
    assert block.index.tolist() == list(range(1550, 2000))
    assert set(block["payment_type"]) == {0}
    assert block["VendorID"].notna().all()
    assert (
        block[["RatecodeID", "store_and_fwd_flag", "congestion_surcharge", "Airport_fee"]]
        .isna()
        .all(axis=None)
    )
    assert (table["payment_type"] == 0).sum() == 450


def test_texts_of_2009_arrive_as_texts_and_numbers(tmp_path: Path) -> None:
    table = sample("yellow", "2009-06", tmp_path).read().to_pandas()
    assert set(table["vendor_name"]) == {"CMT", "VTS", "DDS"}
    assert set(table["store_and_forward"].dropna()) == {0.0, 1.0}
    assert table["Trip_Pickup_DateTime"].str.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d").all()
    assert table["Start_Lat"].median() == pytest.approx(40.75, abs=0.05)
