"""CSV and JSON lines in, Parquet out."""

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nyc_taxi.errors import NotTripData, SchemaError
from nyc_taxi.pipelines.bikeshare import files, sample
from nyc_taxi.pipelines.bikeshare.files import csv_rows, json_rows, unpacked, write_parquet
from tests.support.bikeshare import DAY, raw_table, trip

STATIONS, TRIPS = raw_table("stations"), raw_table("trips")


def trips(text: str) -> list[dict]:
    rows = json_rows(text.encode(), TRIPS, "trips.json")
    names = [column.name for column in TRIPS.columns]
    return [dict(zip(names, row, strict=True)) for row in rows]


def test_parquet_has_the_tables_columns_and_the_same_bytes_each_time(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "BATCH", 7)  # several batches
    paths = [tmp_path / "a.parquet", tmp_path / "deep" / "b.parquet"]
    assert [write_parquet(STATIONS, sample.STATIONS, path, "x") for path in paths] == [24, 24]
    table = pq.read_table(paths[0])
    assert table.schema == STATIONS.schema
    assert [tuple(row.values()) for row in table.to_pylist()] == sample.STATIONS
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_a_table_without_rows_is_a_file_without_rows(tmp_path):
    assert write_parquet(STATIONS, [], tmp_path / "a.parquet", "x") == 0
    assert pq.read_table(tmp_path / "a.parquet").schema == STATIONS.schema


def test_a_row_that_does_not_fit_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "a.parquet"
    write_parquet(STATIONS, sample.STATIONS, path, "x")
    before = path.read_bytes()
    with pytest.raises(SchemaError, match=r"stations.csv: row 25, column capacity: 'few' is not"):
        write_parquet(STATIONS, [*sample.STATIONS, (25, "a", 1, "few")], path, "stations.csv")
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_csv_as_others_write_it():
    text = '1,"Market ""St"", 24th\nstreet",3,27\r\n2,,,15\n'
    assert list(csv_rows(text.encode(), "x")) == [
        ["1", 'Market "St", 24th\nstreet', "3", "27"],
        ["2", None, None, "15"],
    ]
    assert list(csv_rows("\ufeff1,a\n".encode(), "x")) == [["1", "a"]]
    with pytest.raises(NotTripData, match=r"regions.csv: is not CSV"):
        list(csv_rows(b'1,"a', "regions.csv"))
    with pytest.raises(NotTripData, match=r"regions.csv: is not UTF-8 \(byte 2\)"):
        list(csv_rows(b"1,\xf1\n", "regions.csv"))


def test_json_lines_by_the_names_of_their_fields():
    backwards = json.dumps(
        dict(reversed(trip(1, start_station_name="Peña\u2028 \x85").items())), ensure_ascii=False
    )
    [row] = trips(f"\n{backwards}\n\n")
    assert row["trip_id"] == "1"
    assert row["start_station_name"] == "Peña\u2028 \x85"
    assert row["member_gender"] is None
    assert row["other"] is None


def test_fields_that_nobody_knows_are_kept():
    [row] = trips(json.dumps(trip(1, bike_id=7, zip_code="94110")))
    assert json.loads(row["other"]) == {"bike_id": 7, "zip_code": "94110"}
    [row] = trips(json.dumps(trip(1, other="their own", bike_id=7)))
    assert json.loads(row["other"]) == {"other": "their own", "bike_id": 7}
    with pytest.raises(SchemaError, match=r"line 1 has a field without a column: docks; add it to the table"):
        list(json_rows(b'{"station_id": 1, "docks": 2}', STATIONS, "x"))


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"trip_id": "1"', "line 2 is not JSON"),
        ("[1, 2]", "line 2 is JSON but not an object"),
        ("<html>", "line 2 is not JSON"),
    ],
)
def test_a_line_that_is_no_trip_is_named(line, says):
    with pytest.raises(NotTripData, match=rf"trips.json: {says}"):
        trips(f"{json.dumps(trip(1))}\n{line}\n")


def test_gzip_is_known_by_its_bytes_not_by_its_name():
    plain, zipped = b"{}\n", gzip.compress(b"{}\n")
    assert unpacked(plain, "trips.json.gz") == unpacked(zipped, "trips.json") == plain
    assert unpacked(zipped + zipped, "x") == plain + plain  # as `cat` makes them
    for damaged in (zipped[:-4], zipped[:12] + b"\xff\xff" + zipped[14:]):
        with pytest.raises(NotTripData, match=r"trips.json.gz: the gzip file is truncated or damaged"):
            unpacked(damaged, "trips.json.gz")


def test_generated_trips_are_the_same_every_time_and_other_trips_every_day(tmp_path):
    assert sample.trips(DAY) == sample.trips(DAY)
    paths = []
    for day in (DAY, DAY.replace(day=2)):
        paths.append(tmp_path / f"{day}.parquet")
        data = unpacked(sample.trips(day), "x")
        assert write_parquet(TRIPS, json_rows(data, TRIPS, "x"), paths[-1], "x") == 200
    one, other = (set(pq.read_table(path)["trip_id"].to_pylist()) for path in paths)
    assert len(one) == 200
    assert not one & other
    assert pq.read_schema(paths[0]).field("start_date").type == pa.timestamp("us", "UTC")
