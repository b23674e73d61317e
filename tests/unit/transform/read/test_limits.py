import contextlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nyc_taxi.errors import NotTripData
from nyc_taxi.transform.read import limits, open_month
from nyc_taxi.transform.read.limits import batch_rows, check_lines, split_text
from tests.support import hostile
from tests.support.builders import GREEN_TRIP, green_csv, read_all, source_file


def test_a_file_may_have_as_many_columns_as_the_limit(tmp_path: Path) -> None:
    names = [f"more_{place}" for place in range(limits.MAX_COLUMNS - len(GREEN_TRIP))]
    path = tmp_path / "trips.csv"
    rows = read_all(open_month(green_csv(path, [dict.fromkeys(names, "1")]))).rows
    assert rows[1][names[-1]] == "1"
    with pytest.raises(NotTripData, match=r"trips\.csv: has 41 columns, and at most 40 are loaded"):
        open_month(green_csv(path, [dict.fromkeys([*names, "one_more"], "1")]))


def test_rows_may_have_no_more_fields_than_a_header(tmp_path: Path) -> None:
    path = tmp_path / "trips.csv"
    path.write_text(hostile.HEADER + (",".join(GREEN_TRIP.values()) + "," * 100 + "\n") * 3)
    with pytest.raises(NotTripData, match="has 120 columns"):
        open_month(source_file(path))


@pytest.mark.parametrize("longest", [1, 1000, limits.MAX_LINE_BYTES - 1])
def test_lines_up_to_the_limit_pass(longest: int) -> None:
    check_lines((b"a" * longest + b"\n") * (3 + 100_000 // longest), "trips.csv")


@pytest.mark.parametrize("before", [0, 1, 999, 50_000])
def test_no_line_of_twice_the_limit_passes(before: int) -> None:
    block = b"1,2\n" * before + b"a" * (2 * limits.MAX_LINE_BYTES) + b"\n1,2\n"
    with pytest.raises(NotTripData, match=r"trips\.csv: has a line of more than 4 kB"):
        check_lines(block, "trips.csv")


def test_lines_are_as_wide_on_average_as_rows_may_be() -> None:
    for width, refused in ((limits.MAX_ROW_BYTES, False), (limits.MAX_ROW_BYTES + 2, True)):
        block = (b"a" * (width - 1) + b"\n") * (2_000_000 // width)
        with pytest.raises(NotTripData, match="on average") if refused else contextlib.nullcontext():
            check_lines(block, "trips.csv")


def test_wide_rows_are_read_fewer_at_a_time(tmp_path: Path) -> None:
    columns = {f"more_{place}": pa.array(np.random.default_rng(place).random(60_000)) for place in range(34)}
    path = hostile.parquet(tmp_path / "trips.parquet", 60_000, **columns)
    rows = batch_rows(pq.read_metadata(path), 65_536, "trips.parquet")
    assert 25_000 < rows < 55_000
    reader = open_month(source_file(path))
    assert [reader.parse(block).rows_in for block in reader.blocks()] == [rows, 60_000 - rows]


def test_metadata_alone_tell_a_file_of_too_many_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_ROWS", 99)
    path = hostile.parquet(tmp_path / "trips.parquet", 100)
    with pytest.raises(NotTripData, match=r"trips\.parquet: has 100 rows, and at most 99 are loaded"):
        open_month(source_file(path))


def test_a_file_has_no_more_rows_than_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = hostile.parquet(tmp_path / "trips.parquet", 100_000)
    open_month(source_file(path))
    monkeypatch.setattr(limits, "MAX_BYTE_ROWS", 10_000)
    with pytest.raises(NotTripData, match=r"trips\.parquet: has 100,000 rows in [\d,]+ bytes"):
        open_month(source_file(path))


def test_a_row_group_of_one_huge_column_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_CHUNK_BYTES", 1 << 20)
    note = pa.array([f"{row:0200}" for row in range(10_000)])
    path = hostile.parquet(tmp_path / "trips.parquet", 10_000, note=note)
    with pytest.raises(NotTripData, match=r"MB in one column, .* write it in smaller row groups"):
        open_month(source_file(path))


def test_a_row_group_of_long_lists_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_CHUNK_BYTES", 1 << 20)
    numbers = pa.ListArray.from_arrays(
        pa.array(range(0, 200_001, 20), pa.int32()), pa.nulls(200_000, pa.int64())
    )
    path = hostile.parquet(tmp_path / "trips.parquet", 10_000, note=numbers)
    with pytest.raises(NotTripData, match=r"MB in one column, .* write it in smaller row groups"):
        open_month(source_file(path))


@pytest.mark.parametrize(
    "column",
    [
        hostile.long_texts(1000),
        pa.ListArray.from_arrays(pa.array(range(1001), pa.int32()), hostile.long_texts(1000)),
        pa.StructArray.from_arrays([hostile.long_texts(1000)], ["text"]),
    ],
    ids=["text", "list", "struct"],
)
def test_text_is_measured_before_it_is_decoded(column: pa.Array) -> None:
    with pytest.raises(NotTripData, match="has rows of 50,000 bytes on average"):
        list(split_text(pa.record_batch({"note": column}), "trips.parquet"))
    few = pa.record_batch({"note": column[:100]})
    assert list(split_text(few, "trips.parquet")) == [few]


def texts(rows: int, length: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(range(rows), pa.int32()), ["y" * length] * rows)


@pytest.mark.parametrize(
    "column",
    [
        texts(60_000, 300),
        pa.MapArray.from_arrays(pa.array(range(60_001), pa.int32()), texts(60_000, 100), texts(60_000, 200)),
    ],
    ids=["text", "map"],
)
def test_text_below_the_limit_is_read_in_slices(column: pa.Array) -> None:
    batch = pa.record_batch({"note": column})
    assert [len(part) for part in split_text(batch, "trips.parquet")] == [30_000, 30_000]
    assert pa.Table.from_batches(split_text(batch, "trips.parquet")).column("note").to_pylist() == (
        column.to_pylist()
    )


def test_text_in_a_dictionary_may_be_as_wide_as_other_text(tmp_path: Path) -> None:
    note = texts(60_000, 200)
    for name, column in (("dictionary", note), ("plain", note.dictionary_decode())):
        path = hostile.parquet(tmp_path / f"{name}.parquet", 60_000, note=column)
        reader = open_month(source_file(path))
        chunks = [reader.parse(block) for block in reader.blocks()]
        assert sum(chunk.rows_in for chunk in chunks) == 60_000
        assert {chunk.batch["note"][0].as_py() for chunk in chunks} == {"y" * 200}


def test_the_narrowest_rows_of_tlc_are_within_the_limit() -> None:
    """Of fhv in 2015: `B00013,2015-01-01 00:30:00,` and the end of the line."""
    limits.check_line_count((4 << 20) // 28, "fhv_tripdata_2015-01.csv")


def test_short_lines_are_refused_if_they_are_read_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = hostile.text(tmp_path / "trips.csv", hostile.HEADER, b"," * 19 + b"\n", 1)
    reader = open_month(source_file(path))
    monkeypatch.setattr(limits, "MAX_BLOCK_LINES", 1000)
    with pytest.raises(NotTripData, match=r"trips\.csv: has .* lines of a few bytes each"):
        reader.parse(next(reader.blocks()))
