"""Columns of text are decoded at once where that is safe, and read as dictionaries where it may not be."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nyc_taxi.errors import NotTripData, SchemaError
from nyc_taxi.transform.read import limits, open_month, texts
from nyc_taxi.transform.read.parquet import ParquetReader
from tests.support import hostile
from tests.support.builders import source_file


def seconds(rows: int) -> pa.Array:
    """Return as many different datetimes as text, as yellow of 2009 has them."""
    times = np.datetime64("2020-04-01") + np.arange(rows).astype("timedelta64[s]")
    return pa.array(np.char.replace(np.datetime_as_string(times), "T", " "))


def datetimes(path: Path, rows: int, **options: object) -> Path:
    """Write a file with two columns of such datetimes, which overflow their dictionaries."""
    times = seconds(rows)
    hostile.parquet(path, rows, lpep_pickup_datetime=times, lpep_dropoff_datetime=times)
    pq.write_table(pq.read_table(path), path, **options)
    return path


def types(reader: ParquetReader) -> list[set[pa.DataType]]:
    """Return the types in which every column is read."""
    return [set(column) for column in zip(*(block.schema.types for block in reader.blocks()), strict=True)]


def test_different_datetimes_of_many_rows_in_one_row_group_are_read(tmp_path: Path) -> None:
    path = datetimes(tmp_path / "trips.parquet", 600_000, row_group_size=600_000)
    assert pq.read_metadata(path).num_row_groups == 1
    reader = open_month(source_file(path))
    chunks = [reader.parse(block) for block in reader.blocks()]
    pickups = pa.chunked_array([chunk.batch["pickup_datetime"] for chunk in chunks])
    assert pickups.combine_chunks().equals(seconds(600_000).cast(pickups.type))


@pytest.mark.parametrize("rows", [80_000, 200_000])
def test_columns_that_overflow_in_some_row_groups_are_decoded(tmp_path: Path, rows: int) -> None:
    path = datetimes(tmp_path / "trips.parquet", 240_000, row_group_size=rows)
    reader = open_month(source_file(path))
    assert isinstance(reader, ParquetReader)
    assert types(reader)[4:] == [{pa.string()}, {pa.string()}]


def test_a_first_row_without_a_text_hides_no_dictionary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(texts, "MAX_TEXTS", 150_000)
    note = pa.concat_arrays([pa.nulls(1, pa.string()), seconds(199_999)])
    reader = open_month(source_file(hostile.parquet(tmp_path / "trips.parquet", 200_000, note=note)))
    assert sum(block["note"].null_count for block in reader.blocks()) == 1


@pytest.mark.parametrize("length", [texts.MAX_TEXT_BYTES, texts.MAX_TEXT_BYTES + 1])
def test_a_dictionary_of_long_texts_is_not_decoded(
    tmp_path: Path, length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = pa.concat_arrays([pa.array(["y" * length]), seconds(99_999)])
    path = hostile.parquet(tmp_path / "trips.parquet", 100_000, note=note)
    reader = open_month(source_file(path))
    assert isinstance(reader, ParquetReader)
    is_long = length > texts.MAX_TEXT_BYTES
    assert [pa.types.is_dictionary(kind) for kind in types(reader)[6]] == [is_long]
    monkeypatch.setattr(texts, "MAX_TEXTS", 99_000)
    if is_long:
        with pytest.raises(NotTripData, match="texts in the dictionaries of a row group"):
            open_month(source_file(path))


def test_narrow_text_of_any_number_of_rows_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_CHUNK_BYTES", 1 << 20)
    path = datetimes(tmp_path / "trips.parquet", 100_000)
    reader = open_month(source_file(path))
    assert sum(reader.parse(block).rows_in for block in reader.blocks()) == 100_000


def test_different_texts_are_read_without_dictionaries_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(texts, "MAX_TEXTS", 1000)
    path, note = tmp_path / "trips.parquet", pa.array([f"{n:09}" for n in range(2000)])
    hostile.parquet(path, 2000, note=note)
    with pytest.raises(NotTripData, match=r"has 2,\d+ texts in the dictionaries of a row group"):
        open_month(source_file(path))
    pq.write_table(pq.read_table(path), path, use_dictionary=False)
    reader = open_month(source_file(path))
    (block,) = reader.blocks()
    assert reader.parse(block).batch["note"].to_pylist() == note.to_pylist() == block["note"].to_pylist()
    assert block["note"].type == pa.string()


def test_columns_of_one_name_are_named(tmp_path: Path) -> None:
    path = datetimes(tmp_path / "trips.parquet", 100_000, row_group_size=50_000)
    table = pq.read_table(path)
    pq.write_table(table.rename_columns([*table.schema.names[:-1], table.schema.names[-2]]), path)
    with pytest.raises(SchemaError, match="has the column 'lpep_pickup_datetime' twice"):
        open_month(source_file(path))
