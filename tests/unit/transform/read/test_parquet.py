import datetime as dt
import decimal
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from nyc_taxi.errors import NotTripData, SchemaError
from nyc_taxi.model.months import Service
from nyc_taxi.transform.read import open_month
from nyc_taxi.transform.read.parquet import ParquetReader
from tests.support.builders import ReadRows, read_all, source_file

TEN = dt.datetime(2020, 4, 1, 10)
NEW_YORK = pc.assume_timezone(pa.array([TEN, None], pa.timestamp("us")), "America/New_York")


def reader(
    folder: Path, service: Service = Service.GREEN, batch_rows: int = 65_536, **columns: pa.Array
) -> ParquetReader:
    """A file of two green trips with some columns replaced or added."""
    times = pa.array([TEN, TEN], pa.timestamp("us"))
    amounts = pa.array([1.5, 2.0])
    table = {
        "VendorID": pa.array([2, 1]),
        "lpep_pickup_datetime": times,
        "lpep_dropoff_datetime": times,
        "trip_distance": amounts,
        "fare_amount": amounts,
        "total_amount": amounts,
        **columns,
    }
    path = folder / "trips.parquet"
    pq.write_table(pa.table(table), path)
    return ParquetReader(source_file(path, service), batch_rows)


def read(folder: Path, **columns: pa.Array) -> ReadRows:
    return read_all(reader(folder, **columns))


def values(result: ReadRows, name: str) -> list[Any]:
    assert result.unreadable == {}
    return [row[name] for row in result.rows.values()]


def strings(*texts: bytes) -> pa.Array:
    """An Arrow string array of any bytes, as a damaged file gives it."""
    offsets = np.cumsum([0, *(len(text) for text in texts)]).astype(np.int32)
    return pa.Array.from_buffers(
        pa.string(), len(texts), [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(texts))]
    )


@pytest.mark.parametrize(
    ("name", "array", "canonical", "expected"),
    [
        ("VendorID", pa.nulls(2), "vendor_id", [None, None]),
        ("VendorID", pa.array([2, None], pa.int32()), "vendor_id", [2, None]),
        ("VendorID", pa.array([2, None], pa.uint64()), "vendor_id", [2, None]),
        ("VendorID", pa.array([2.0, float("nan")]), "vendor_id", [2, None]),
        ("VendorID", pa.array([decimal.Decimal("2.00"), None]), "vendor_id", [2, None]),
        ("VendorID", pa.array(["CMT", " vts"]), "vendor_id", [1, 2]),
        ("VendorID", pa.array(["2", ""], pa.large_string()).dictionary_encode(), "vendor_id", [2, None]),
        ("passenger_count", pa.array([1, None], pa.int64()), "passenger_count", [1, None]),
        ("passenger_count", pa.array([1.0, float("nan")]), "passenger_count", [1, None]),
        ("passenger_count", pa.array([decimal.Decimal("1.0"), None]), "passenger_count", [1, None]),
        ("passenger_count", pa.array(["1", "2.0"]), "passenger_count", [1, 2]),
        ("store_and_fwd_flag", pa.array(["Y", None], pa.large_string()), "store_and_fwd_flag", ["Y", None]),
        ("store_and_fwd_flag", pa.array(["Y", " N "]).dictionary_encode(), "store_and_fwd_flag", ["Y", "N"]),
        ("store_and_fwd_flag", pa.array(["Y", ""], pa.string_view()), "store_and_fwd_flag", ["Y", None]),
        ("store_and_fwd_flag", pa.array([1.0, 0.0]), "store_and_fwd_flag", ["Y", "N"]),
        ("store_and_fwd_flag", pa.array([float("nan"), 0.0]), "store_and_fwd_flag", [None, "N"]),
        ("fare_amount", pa.array([1.5, float("nan")]), "fare_amount", [1.5, None]),
        ("fare_amount", pa.array([1.5, 2.0], pa.float32()), "fare_amount", [1.5, 2.0]),
        ("fare_amount", pa.array([3, None], pa.int16()), "fare_amount", [3.0, None]),
        ("fare_amount", pa.array([decimal.Decimal("1.10"), None]), "fare_amount", [1.1, None]),
        ("fare_amount", pa.array(["1.10", "NaN"]), "fare_amount", [1.1, None]),
        ("ehail_fee", pa.nulls(2), "ehail_fee", [None, None]),
        ("lpep_pickup_datetime", pa.array([TEN, None], pa.timestamp("ns")), "pickup_datetime", [TEN, None]),
        ("lpep_pickup_datetime", pa.array([TEN, None], pa.timestamp("ms")), "pickup_datetime", [TEN, None]),
        (
            "lpep_pickup_datetime",
            pa.array([TEN, None], pa.timestamp("us", "UTC")),
            "pickup_datetime",
            [TEN, None],
        ),
        ("lpep_pickup_datetime", NEW_YORK, "pickup_datetime", [TEN, None]),
        ("lpep_pickup_datetime", pa.array(["2020-04-01 10:00:00", None]), "pickup_datetime", [TEN, None]),
        (
            "lpep_pickup_datetime",
            pa.array([TEN.date(), None]),
            "pickup_datetime",
            [TEN.replace(hour=0), None],
        ),
    ],
)
def test_a_column_of_any_type_its_files_had(
    tmp_path: Path, name: str, array: pa.Array, canonical: str, expected: list[Any]
) -> None:
    assert values(read(tmp_path, **{name: array}), canonical) == expected


@pytest.mark.parametrize(
    ("name", "array", "canonical", "message"),
    [
        ("VendorID", pa.array([2, 70_000]), "vendor_id", "VendorID is 70000, which does not fit int16"),
        ("VendorID", pa.array([2.0, 1.5]), "vendor_id", "VendorID is 1.5, which does not fit int16"),
        ("VendorID", pa.array(["CMT", "ABC"]), "vendor_id", "VendorID is 'ABC', which does not fit int16"),
        (
            "passenger_count",
            pa.array([1.0, 1e300]),
            "passenger_count",
            "passenger_count is 1e+300, which does not fit int16",
        ),
        (
            "passenger_count",
            pa.array([1.0, 1.5]),
            "passenger_count",
            "passenger_count is 1.5, which does not fit int16",
        ),
        (
            "fare_amount",
            pa.array([1.0, float("inf")]),
            "fare_amount",
            "fare_amount is inf, which does not fit float64",
        ),
        (
            "fare_amount",
            pa.array(["1", "1O"]),
            "fare_amount",
            "fare_amount is '1O', which does not fit float64",
        ),
        (
            "lpep_pickup_datetime",
            pa.array(["2020-04-01 10:00:00", "soon"]),
            "pickup_datetime",
            "lpep_pickup_datetime is 'soon', which does not fit timestamp",
        ),
    ],
)
def test_a_value_that_does_not_fit_is_named_and_spoils_no_other(
    tmp_path: Path, name: str, array: pa.Array, canonical: str, message: str
) -> None:
    result = read(tmp_path, **{name: array})
    assert list(result.rows) == [1]
    item = result.unreadable[2]
    assert (item.column, item.detail) == (canonical, message)
    raw = json.loads(item.raw, parse_constant=pytest.fail)  # NaN and Infinity are no JSON
    assert raw["total_amount"] == 2.0
    assert str(raw[name]) == str(array[1].as_py())


def test_a_row_with_two_values_that_do_not_fit_is_one_unreadable_row(tmp_path: Path) -> None:
    columns = {"VendorID": pa.array([2, 70_000]), "fare_amount": pa.array([1.0, float("inf")])}
    rows = read(tmp_path, **columns)
    assert list(rows.rows) == [1]
    unreadable = rows.unreadable[2]
    assert unreadable.column == "vendor_id"  # the first in the schema's order, as in a CSV
    assert unreadable.detail == "VendorID is 70000, which does not fit int16"
    assert json.loads(unreadable.raw)["fare_amount"] == "inf"


def test_row_numbers_run_on_through_all_batches(tmp_path: Path) -> None:
    ok, bad = [2] * 5, [2, 70_000, 2, 70_000, 70_000]
    times = pa.array([TEN] * 10, pa.timestamp("us"))
    columns = {name: pa.array(np.arange(10.0)) for name in ("trip_distance", "fare_amount", "total_amount")}
    opened = reader(
        tmp_path,
        batch_rows=3,
        VendorID=pa.array(ok + bad),
        lpep_pickup_datetime=times,
        lpep_dropoff_datetime=times,
        **columns,
    )
    result = read_all(opened)
    assert sorted(result.unreadable) == [7, 9, 10]
    assert [row["trip_distance"] for row in result.rows.values()] == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 7.0]


@pytest.mark.parametrize(
    ("array", "kept"),
    [
        (pa.array([1, None], pa.int8()), pa.array([1, None], pa.int64())),
        (pa.array([1, 2**64 - 1], pa.uint64()), pa.array(["1", str(2**64 - 1)])),
        (pa.array([1.5, None], pa.float32()), pa.array([1.5, None])),
        (pa.array([decimal.Decimal("1.10"), None]), pa.array(["1.10", None])),
        (pa.array([True, None]), pa.array(["true", None])),
        (pa.array([" a", None]), pa.array([" a", None])),
        (pa.array(["a", None], pa.large_string()), pa.array(["a", None])),
        (pa.array(["a", None]).dictionary_encode(), pa.array(["a", None])),
        (pa.array([1, None]).dictionary_encode(), pa.array([1, None])),
        (pa.array([b"\xff", None]), pa.array(["\"b'\\\\xff'\"", None])),
        (pa.array([TEN, None], pa.timestamp("ns")), pa.array([TEN, None], pa.timestamp("us"))),
        (NEW_YORK, pa.array([TEN, None], pa.timestamp("us"))),
        (pa.array([TEN.date(), None]), pa.array(["2020-04-01", None])),
        (pa.array([TEN.time(), None]), pa.array(["10:00:00.000000", None])),
        (pa.array([["a"], None]), pa.array(['["a"]', None])),
        (pa.array([{"a": TEN}, None]), pa.array(['{"a": "2020-04-01 10:00:00"}', None])),
        (pa.array([[("a", 1)], None], pa.map_(pa.string(), pa.int8())), pa.array(['[["a", 1]]', None])),
    ],
    ids=lambda array: str(array.type),
)
def test_an_unknown_column_of_any_type_is_kept(tmp_path: Path, array: pa.Array, kept: pa.Array) -> None:
    opened = reader(tmp_path, **{"New Thing": array})
    assert opened.mapping.unknown == {"new_thing": "New Thing"}
    assert opened.schema.field("new_thing").type == kept.type
    assert values(read_all(opened), "new_thing") == kept.to_pylist()


def test_an_unknown_column_of_nothing_is_left_out(tmp_path: Path) -> None:
    opened = reader(tmp_path, new_thing=pa.nulls(2))
    assert opened.mapping.unknown == {}
    assert "new_thing" not in opened.schema.names


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        (
            "lpep_pickup_datetime",
            pa.array([1, 2]),
            "column pickup_datetime has type int64, which cannot become timestamp",
        ),
        ("lpep_pickup_datetime", pa.array([TEN.time()] * 2), "column pickup_datetime has type time64"),
        ("fare_amount", pa.array([TEN, TEN]), "column fare_amount has type timestamp"),
        ("passenger_count", pa.array([[1], [2]]), "column passenger_count has type list"),
    ],
)
def test_a_type_that_can_never_fit_is_refused(
    tmp_path: Path, name: str, array: pa.Array, message: str
) -> None:
    with pytest.raises(SchemaError, match=rf"^trips\.parquet: {message}"):
        read(tmp_path, **{name: array})


@pytest.mark.parametrize(
    "array",
    [
        pa.array([1, 2], pa.timestamp("us", "No/Zone")),
        pa.array([[1], [2]], pa.list_(pa.timestamp("us", "No/Zone"))),
        pa.array([[2**62], None], pa.list_(pa.timestamp("us"))),
        pa.array([{"x": 2**62}, None], pa.struct({"x": pa.timestamp("us")})),
    ],
    ids=lambda array: str(array.type),
)
@pytest.mark.parametrize("fare", [["1", "2"], ["1", "much"]])
def test_an_unknown_column_that_cannot_be_read_is_named(
    tmp_path: Path, array: pa.Array, fare: list[str]
) -> None:
    with pytest.raises(
        SchemaError, match=r"^trips\.parquet: column odd of type .* cannot be read \(.*remove"
    ):
        read(tmp_path, odd=array, fare_amount=pa.array(fare))


def test_text_that_is_not_utf8_is_refused_by_column(tmp_path: Path) -> None:
    with pytest.raises(
        NotTripData, match=r"^trips\.parquet: column store_and_fwd_flag holds text that is not UTF-8"
    ):
        read(tmp_path, store_and_fwd_flag=strings(b"Y", b"\xff"))


def test_a_missing_required_column_is_named(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match=r"^trips\.parquet: the required column pickup_datetime is missing"):
        reader(tmp_path, service=Service.YELLOW)


@pytest.mark.parametrize("cut", [3, 100, -20])
def test_a_cut_file_is_refused_by_name(tmp_path: Path, cut: int) -> None:
    whole = reader(tmp_path)
    assert len(read_all(whole).rows) == 2
    path = tmp_path / "trips.parquet"
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(
        NotTripData, match=r"^trips\.parquet: is not a complete Parquet file .*; download it again\.$"
    ):
        ParquetReader(source_file(path))


def test_broken_pages_are_refused_by_name(tmp_path: Path) -> None:
    opened = reader(tmp_path)
    path = tmp_path / "trips.parquet"
    content = bytearray(path.read_bytes())
    content[4:40] = bytes(36)
    path.write_bytes(content)
    with pytest.raises(
        NotTripData, match=r"^trips\.parquet: the Parquet data is damaged .*; download it again\.$"
    ):
        list(opened.blocks())


def test_the_format_follows_the_content_not_the_name(tmp_path: Path) -> None:
    reader(tmp_path)
    renamed = (tmp_path / "trips.parquet").rename(tmp_path / "trips.csv")
    assert isinstance(open_month(source_file(renamed)), ParquetReader)


@pytest.mark.parametrize(
    "times",
    [
        pa.array([253_402_300_800, 1_585_735_200], pa.timestamp("s")),  # 10000-01-01
        pa.array([-(10**17), 1_585_735_200_000], pa.timestamp("ms")),
        pa.array([2**63 - 1, 1_585_735_200_000_000], pa.timestamp("us")),
        pa.array([2**62, 1_585_735_200_000_000], pa.timestamp("us", "UTC")),
        pa.array([-(2**62), 1_585_735_200_000_000], pa.timestamp("us", "America/New_York")),
        pa.array([3_000_000, 18_353], pa.date32()),
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["lpep_pickup_datetime", "checked_at"])
def test_a_time_outside_the_calendar_makes_its_row_unreadable(
    tmp_path: Path, times: pa.Array, name: str
) -> None:
    if pa.types.is_date(times.type) and name == "checked_at":
        pytest.skip("unknown columns of dates are kept as text")
    result = read(tmp_path, **{name: times})
    assert list(result.rows) == [2]
    [unreadable] = result.unreadable.values()
    assert name in unreadable.detail


@pytest.mark.parametrize(
    "values",
    [pa.array([[1], [2]]), pa.array([{"a": 1}, {"a": 2}])],
    ids=["list", "struct"],
)
@pytest.mark.parametrize("name", ["VendorID", "store_and_fwd_flag", "lpep_pickup_datetime", "fare_amount"])
def test_a_type_that_cannot_become_the_columns_is_named(tmp_path: Path, name: str, values: pa.Array) -> None:
    with pytest.raises(SchemaError, match=r"has type .*, which cannot become"):
        read(tmp_path, **{name: values})
