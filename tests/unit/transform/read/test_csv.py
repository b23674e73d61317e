import datetime as dt
import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nyc_taxi.errors import NotTripData, SchemaError
from nyc_taxi.model.months import Service
from nyc_taxi.transform.read import csv, open_month
from nyc_taxi.transform.read.csv import CsvReader
from tests.support.builders import ReadRows, read_all, source_file

HEADER = (
    "VendorID,lpep_pickup_datetime,lpep_dropoff_datetime,passenger_count,trip_distance,"
    "fare_amount,total_amount"
)
TRIP = "2,2020-04-01 10:00:00,2020-04-01 10:20:00,1,1.5,8,9.8"
VALUES = {
    "vendor_id": 2,
    "pickup_datetime": dt.datetime(2020, 4, 1, 10),
    "dropoff_datetime": dt.datetime(2020, 4, 1, 10, 20),
    "passenger_count": 1,
    "trip_distance": 1.5,
    "fare_amount": 8.0,
    "total_amount": 9.8,
}


def reader(folder: Path, content: str | bytes, service: Service = Service.GREEN, **options: Any) -> CsvReader:
    path = folder / "trips.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return CsvReader(source_file(path, service), **options)


def read(folder: Path, content: str | bytes, service: Service = Service.GREEN, **options: Any) -> ReadRows:
    return read_all(reader(folder, content, service, **options))


def without_nulls(row: dict[str, Any]) -> dict[str, Any]:
    """What is not null."""
    return {name: value for name, value in row.items() if value is not None}


@pytest.mark.parametrize(
    "content",
    [
        f"{HEADER}\n{TRIP}\n{TRIP}\n",
        f"{HEADER}\r\n{TRIP}\r\n{TRIP}\r\n",
        f"{HEADER}\n\r\n{TRIP}\r\n{TRIP}\r\n",
        f"{HEADER}\n\n\r\n{TRIP}\r\n\r\n{TRIP}\n\n",
        f"{HEADER}\r\n{TRIP}\n{TRIP}",
        f"\ufeff{HEADER}\n{TRIP}\r\n{TRIP}\r",
        f"{HEADER}\r\n{TRIP},,\r\n{TRIP},,\r\n",
        f"{HEADER}\r\n{TRIP}\r\n{TRIP},,\r\n",
        f'{HEADER}\r\n{TRIP}," ",NULL\r\n{TRIP},,\r\n',
    ],
    ids=[
        "LF",
        "CRLF",
        "blank second line",
        "blank lines anywhere",
        "no end of the last line",
        "byte order mark",
        "two more fields than names",
        "more fields in some rows",
        "nothing but nulls in the more fields",
    ],
)
def test_rows_are_the_same_however_lines_end(tmp_path: Path, content: str) -> None:
    result = read(tmp_path, content)
    assert [without_nulls(row) for row in result.rows.values()] == [VALUES, VALUES]
    assert result.unreadable == {}


def test_names_are_found_padded_quoted_and_in_any_order(tmp_path: Path) -> None:
    header = (
        '" total_amount",Fare_amount ,TRIP_DISTANCE,"passenger_count",'
        "Lpep_dropoff_datetime,lpep_pickup_datetime,VendorID"
    )
    result = read(tmp_path, f"{header}\n{','.join(reversed(TRIP.split(',')))}\n")
    assert without_nulls(result.rows[1]) == VALUES


def test_seventeen_names_over_nineteen_fields(tmp_path: Path) -> None:
    """Yellow, second half of 2016; a reader by position would shift every column."""
    header = (
        "VendorID,tpep_pickup_datetime,tpep_dropoff_datetime,passenger_count,trip_distance,RatecodeID,"
        "store_and_fwd_flag,PULocationID,DOLocationID,payment_type,fare_amount,extra,mta_tax,tip_amount,"
        "tolls_amount,improvement_surcharge,total_amount"
    )
    row = "1,2016-07-01 00:00:01,2016-07-01 00:09:00,1,2.5,1,N,170,144,2,11,.5,.5,0,0,.3,12.3,,"
    result = read(tmp_path, f"{header}\r\n{row}\r\n{row}\r\n", Service.YELLOW)
    assert result.rows[2]["pickup_location_id"] == 170
    assert result.rows[2]["total_amount"] == 12.3
    assert result.unreadable == {}


def test_words_for_codes_of_yellow_2009(tmp_path: Path) -> None:
    header = (
        "vendor_name,Trip_Pickup_DateTime,Trip_Dropoff_DateTime,Passenger_Count,Trip_Distance,Start_Lon,Start_Lat,"
        "Rate_Code,store_and_forward,End_Lon,End_Lat,Payment_Type,Fare_Amt,surcharge,mta_tax,Tip_Amt,Tolls_Amt,Total_Amt"
    )
    trip = (
        "{},2009-01-04 02:52:00,2009-01-04 03:02:00,1,2.6299999999999999,-73.991956999999999,40.721567,,{},"
        "-73.993803,40.695921999999996,{},8.9000000000000004,0.5,,0,0,9.4000000000000004\r\n"
    )
    rows = [("VTS", "", "CASH"), ("DDS", "1", "Credit"), ("CMT", "0", " No Charge "), ("VTS", "", "dispute")]
    result = read(tmp_path, f"{header}\n\r\n" + "".join(trip.format(*row) for row in rows), Service.YELLOW)
    assert [
        (row["vendor_id"], row["store_and_fwd_flag"], row["payment_type"]) for row in result.rows.values()
    ] == [
        (2, None, 2),
        (3, "Y", 1),
        (1, "N", 3),
        (2, None, 4),
    ]
    assert result.rows[1]["pickup_longitude"] == -73.991957
    assert result.rows[1]["pickup_latitude"] == 40.721567
    assert result.unreadable == {}


def test_two_columns_of_one_meaning(tmp_path: Path) -> None:
    """Fhv of 2018: quoted, in another order, the base under two names of which one is empty."""
    header = (
        '"Pickup_DateTime","DropOff_datetime","PUlocationID","DOlocationID","SR_Flag",'
        '"Dispatching_base_number","Dispatching_base_num"'
    )
    rows = (
        '"2018-01-01 00:03:14","2018-01-01 00:07:34","","265","","B00001",""\r\n'
        '"2018-01-01 00:05:00","2018-01-01 00:09:00","1","2","1","","B00002"\r\n'
        '"2018-01-01 00:05:00","2018-01-01 00:09:00","1","2","1","B00003","B00004"\r\n'
        '"2018-01-01 00:05:00","2018-01-01 00:09:00","1","2","1","",""\r\n'
    )
    result = read(tmp_path, f"{header}\r\n{rows}", Service.FHV)
    assert [row["dispatching_base_num"] for row in result.rows.values()] == [
        "B00001",
        "B00002",
        "B00004",
        None,
    ]
    assert [row["shared_ride_flag"] for row in result.rows.values()] == [None, 1, 1, 1]


def test_republished_fhvhv_with_times_in_z(tmp_path: Path) -> None:
    header = "hvfhs_license_num,dispatching_base_num,on_scene_datetime,pickup_datetime,dropoff_datetime,tips"
    row = '"HV0003","B02682","","2021-01-01T00:33:44.000Z","2021-01-01T00:49:07.000Z",""'
    result = read(tmp_path, f"{header}\n{row}\n", Service.FHVHV)
    assert without_nulls(result.rows[1]) == {
        "hvfhs_license_num": "HV0003",
        "dispatching_base_num": "B02682",
        "pickup_datetime": dt.datetime(2021, 1, 1, 0, 33, 44),
        "dropoff_datetime": dt.datetime(2021, 1, 1, 0, 49, 7),
    }


@pytest.mark.parametrize(
    ("line", "detail"),
    [
        (b"2,2020-04-01 10:00:00", "the row has 2 fields, the header 7"),
        (TRIP.encode() + b",,7", "the row has 9 fields with values, the header 7"),
        (b'"' + TRIP.encode(), "a quote is opened and never closed"),
        (TRIP.replace("2,", '2"3,"', 1).encode(), "a quote is opened and never closed"),
        (TRIP.replace("1.5", "1\x00.5").encode(), "the line holds a NUL byte"),
        (TRIP.replace("1.5", "1\r.5").encode(), "the line holds a carriage return"),
        (TRIP.encode().replace(b"1.5", b"1\xff5"), "the line is not UTF-8 text"),
        (b"SELECT * FROM trips", "the row has 1 fields, the header 7"),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_line_that_is_no_row_spoils_no_other(tmp_path: Path, line: bytes, detail: str, end: str) -> None:
    lines = [HEADER.encode(), TRIP.encode(), line, TRIP.encode(), TRIP.encode()]
    result = read(tmp_path, end.encode().join(lines) + end.encode())
    assert {number: without_nulls(row) for number, row in result.rows.items()} == {
        1: VALUES,
        3: VALUES,
        4: VALUES,
    }
    assert result.unreadable[2].detail == detail
    assert result.unreadable[2].column is None
    as_text = result.unreadable[2].raw
    assert as_text == line.decode("utf-8", "backslashreplace").replace("\0", "\\x00")


@pytest.mark.parametrize(
    ("lines", "broken"),
    [
        ([f'{TRIP},"a', f'{TRIP},"b'], [1, 2]),  # to Arrow one row, whose text goes over two lines
        ([f"{TRIP},a\0"], [1]),
        ([f"{TRIP},a\r{TRIP},b"], [1]),  # to Arrow two rows
    ],
    ids=["quotes over two lines", "NUL", "carriage return"],
)
def test_lines_that_arrow_would_take_otherwise_are_no_rows(
    tmp_path: Path, lines: list[str], broken: list[int]
) -> None:
    result = read(tmp_path, "\n".join([f"{HEADER},note", *lines, *[f"{TRIP},c"] * 3]))
    assert list(result.unreadable) == broken
    assert [row["note"] for row in result.rows.values()] == ["c"] * 3


@pytest.mark.parametrize(
    ("column", "cell", "detail"),
    [
        ("VendorID", "9x", "VendorID is '9x', which is no whole number in the column's range"),
        (
            "passenger_count",
            "1.5",
            "passenger_count is '1.5', which is no whole number in the column's range",
        ),
        (
            "passenger_count",
            "40000",
            "passenger_count is '40000', which is no whole number in the column's range",
        ),
        ("fare_amount", "1O.80", "fare_amount is '1O.80', which is no number"),
        ("fare_amount", "inf", "fare_amount is 'inf', which is no number"),
        (
            "lpep_pickup_datetime",
            "2020-02-30 10:00:00",
            "lpep_pickup_datetime is '2020-02-30 10:00:00', which is no time",
        ),
        (
            "lpep_pickup_datetime",
            "02/30/2020 10:00:00 AM",
            "lpep_pickup_datetime is '02/30/2020 10:00:00 AM', which is no time",
        ),
        (
            "lpep_pickup_datetime",
            "4/1/2020 10:00",
            "lpep_pickup_datetime is '4/1/2020 10:00', which is no time",
        ),
    ],
)
def test_a_cell_that_does_not_parse_is_named(tmp_path: Path, column: str, cell: str, detail: str) -> None:
    cells = dict(zip(HEADER.split(","), TRIP.split(","), strict=True))
    line = ",".join({**cells, column: cell}.values())
    result = read(tmp_path, f"{HEADER}\n{TRIP}\n{line}\n{TRIP}\n")
    assert list(result.rows) == [1, 3]
    assert result.unreadable[2].detail == detail
    assert result.unreadable[2].column == {
        "VendorID": "vendor_id",
        "lpep_pickup_datetime": "pickup_datetime",
    }.get(column, column)
    assert result.unreadable[2].raw == line


def test_of_two_broken_cells_the_first_column_is_named(tmp_path: Path) -> None:
    result = read(tmp_path, f"{HEADER}\n{TRIP.replace('1.5', 'x').replace('9.8', 'y')}\n")
    assert [item.column for item in result.unreadable.values()] == ["trip_distance"]


def test_unknown_columns_are_kept_as_text(tmp_path: Path) -> None:
    opened = reader(tmp_path, f"{HEADER},New Fee,\n{TRIP}, 1.50,a\n{TRIP},,\n")
    result = read_all(opened)
    assert opened.mapping.unknown == {"new_fee": "New Fee", "unnamed_9": "unnamed_9"}
    assert [(row["new_fee"], row["unnamed_9"]) for row in result.rows.values()] == [
        (" 1.50", "a"),
        (None, None),
    ]


def test_blocks_may_end_at_every_byte(tmp_path: Path) -> None:
    lines = [
        "",
        "B1,2015-01-01",
        "B2,never",
        '"B3",2015-01-02,',
        "",
        "B4,01/02/2015 12:00:00 AM",
        "B5",
        "B6,",
    ]
    content = "Dispatching_base_num,Pickup_date\n" + "\r\n".join(lines)
    whole = read(tmp_path, content, Service.FHV)
    assert [row["dispatching_base_num"] for row in whole.rows.values()] == ["B1", "B3", "B4", "B6"]
    assert sorted(whole.unreadable) == [2, 5]
    for block_bytes in range(1, len(content) + 2):
        assert read(tmp_path, content, Service.FHV, block_bytes=block_bytes) == whole


def test_compressed_or_not_the_rows_are_the_same(tmp_path: Path) -> None:
    content = f"{HEADER}\r\n{TRIP}\r\n".encode() + f"{TRIP}\r\n".encode() * 5000
    plain = read(tmp_path, content)
    zipped = tmp_path / "trips.csv.gz"
    zipped.write_bytes(gzip.compress(content[:1000]) + gzip.compress(content[1000:]))  # two members
    opened = open_month(source_file(zipped))
    assert isinstance(opened, CsvReader)
    assert read_all(opened) == plain
    assert len(plain.rows) == 5001


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-3],
        lambda data: data[:-200],
        lambda data: data[:2000],
        lambda data: data[:10] + b"\x07" + data[11:],  # no block begins like this
        lambda data: data[:-8] + bytes(8),  # checksum and size
    ],
)
def test_a_damaged_gzip_file_is_refused_by_name(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    lines = "".join(f"{TRIP[:-1]}{number}\n" for number in range(20_000))
    path = tmp_path / "trips.csv.gz"
    path.write_bytes(damage(gzip.compress(f"{HEADER}\n{lines}".encode())))
    with pytest.raises(
        NotTripData,
        match=r"^trips\.csv\.gz: the gzip data is damaged or truncated .*; download the file again\.$",
    ):
        read_all(CsvReader(source_file(path)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfe\x00,\n", "the first line is not text"),
        (b"one\n1\n", "the first line 'one' is not the header of a trip file"),
        (f"{HEADER}\r{TRIP}\r".encode(), "the first line is not text"),
    ],
)
def test_a_file_without_a_header_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(NotTripData, match=rf"^trips\.csv: {message}"):
        reader(tmp_path, content)


def test_a_file_of_another_service_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match=r"^trips\.csv: the required column pickup_datetime is missing"):
        reader(tmp_path, f"{HEADER}\n", Service.YELLOW)


def test_a_good_file_never_enters_the_path_that_explains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(csv.CsvReader, "_parse_text", fail)
    quoted = ",".join(f'"{cell}"' for cell in TRIP.split(","))
    result = read(tmp_path, f"{HEADER},new\r\n{TRIP},x\r\n{quoted},\r\n{TRIP.replace('2,', 'CMT,', 1)},\r\n")
    assert len(result.rows) == 3
