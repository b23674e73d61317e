from itertools import groupby
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nyc_taxi.errors import NotTripData
from nyc_taxi.transform.read import limits, open_month
from nyc_taxi.transform.read.pages import Content, Page, read_pages
from tests.support import hostile
from tests.support.builders import source_file

ROWS = 50_000

ONE_PAGE = {"max_rows_per_page": ROWS} if "max_rows_per_page" in (pq.write_table.__doc__ or "") else {}
"""Lifts the limit on the rows of a page; older versions of Arrow have none."""


def written(path: Path, **options: object) -> pq.FileMetaData:
    columns = {"number": np.random.default_rng(1).random(ROWS), "text": ["a" * 3000, "b"] * (ROWS // 2)}
    pq.write_table(pa.table(columns), path, use_dictionary=["text"], **options)
    return pq.read_metadata(path)


def pages(path: Path, metadata: pq.FileMetaData, group: int = 0, column: int = 0) -> list[Page]:
    with path.open("rb") as file:
        return list(read_pages(file, metadata.row_group(group).column(column)))


def largest_pages(path: Path, metadata: pq.FileMetaData) -> list[int]:
    """Return for each row group the sizes of the largest page of every column, added up."""
    return [
        sum(max(page.size for page in pages(path, metadata, group, column)) for column in range(2))
        for group in range(metadata.num_row_groups)
    ]


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("compression", ["none", "zstd"])
def test_the_largest_page_of_each_column_counts(tmp_path: Path, version: str, compression: str) -> None:
    path = tmp_path / "trips.parquet"
    options = {"data_page_version": version, "compression": compression, **ONE_PAGE}
    whole = written(path, data_page_size=1 << 30, **options)
    (size,) = largest_pages(path, whole)
    assert ROWS * 8 + ROWS // 8 <= size <= ROWS * 8 + ROWS // 8 + 8000
    halves = written(path, data_page_size=1 << 30, row_group_size=ROWS // 2, **options)
    assert [round(size / half) for half in largest_pages(path, halves)] == [2, 2]
    assert max(largest_pages(path, written(path, data_page_size=1 << 10))) < size / 2


def test_a_page_without_a_header_is_damage(tmp_path: Path) -> None:
    path = hostile.parquet(tmp_path / "trips.parquet", 1000)
    content = bytearray(path.read_bytes())
    content[4:12] = b"\xff" * 8
    path.write_bytes(content)
    with pytest.raises(NotTripData, match=r"trips\.parquet: the Parquet data is damaged .*download it again"):
        open_month(source_file(path))


@pytest.mark.parametrize("kind", [1, 7], ids=["booleans", "doubles"])
def test_a_list_without_an_end_in_a_header_is_damage(tmp_path: Path, kind: int) -> None:
    path = hostile.parquet(tmp_path / "trips.parquet", 1000)
    content = bytearray(path.read_bytes())
    content[4:16] = bytes([0x19, 0xF0 | kind]) + b"\xff" * 8 + b"\x7f\x00"  # a list of 2**63 values
    path.write_bytes(content)
    with pytest.raises(NotTripData, match="the Parquet data is damaged"):
        open_month(source_file(path))


@pytest.mark.parametrize(
    "header",
    [
        bytes([0x15, 0, 0x1C, 0, 0x15, 2, 0]),
        bytes([0x15, 0, 0x15, 2, 0x15, 2, 0x2C, 0x1C, 0, 0x15, 0, 0, 0]),
        bytes([0x15, 0, 0x15, 1, 0x15, 2, 0x2C, 0x15, 2, 0x15, 0, 0, 0]),
        bytes([0x15, 0, 0x15, 2, 0x15, 2, 0x2C, 0x15, 1, 0x15, 0, 0, 0]),
    ],
    ids=["a struct for its size", "a struct for its values", "a negative size", "negative values"],
)
def test_a_header_whose_numbers_are_none_is_damage(tmp_path: Path, header: bytes) -> None:
    path = hostile.parquet(tmp_path / "trips.parquet", 1000)
    content = bytearray(path.read_bytes())
    content[4 : 4 + len(header)] = header
    path.write_bytes(content)
    with pytest.raises(NotTripData, match="the Parquet data is damaged"):
        open_month(source_file(path))


def test_pages_beyond_the_limit_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = hostile.parquet(tmp_path / "trips.parquet", ROWS, tip_amount=pa.array(np.arange(ROWS) / 100))
    monkeypatch.setattr(limits, "MAX_PAGE_BYTES", 1 << 10)
    with pytest.raises(NotTripData, match=r"trips\.parquet: has pages of .* write it in smaller pages"):
        open_month(source_file(path))


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_pages_say_what_their_values_are(tmp_path: Path, version: str) -> None:
    texts = pa.table({"few": ["a", "b", "c", "d"] * 2500, "many": [f"{n:09}" for n in range(10_000)]})
    path = tmp_path / "trips.parquet"
    pq.write_table(texts, path, data_page_version=version, dictionary_pagesize_limit=8000)
    few, many = (pages(path, pq.read_metadata(path), column=column) for column in range(2))
    dictionary, places, plain = Content.DICTIONARY, Content.PLACES, Content.PLAIN
    assert [(page.values, page.content) for page in few] == [(4, dictionary), (10_000, places)]
    assert [content for content, _ in groupby(page.content for page in many)] == [dictionary, places, plain]
    assert sum(page.values for page in many[1:]) == 10_000
    pq.write_table(texts, path, data_page_version=version, use_dictionary=False)
    assert {page.content for page in pages(path, pq.read_metadata(path))} == {plain}


def test_pages_beyond_their_number_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_PAGES", 14)
    monkeypatch.setattr(limits, "ROWS_PER_PAGE", 100)
    path = tmp_path / "trips.parquet"
    open_month(source_file(hostile.parquet(path, 100, note=pa.nulls(100, pa.int64()))))
    pq.write_table(pq.read_table(path), path, row_group_size=10)
    with pytest.raises(NotTripData, match=r"more than 14 pages for 100 rows; write it in larger row groups"):
        open_month(source_file(path))
    monkeypatch.setattr(limits, "ROWS_PER_PAGE", 1)
    with pytest.raises(NotTripData, match=r"trips\.parquet: has more than 100 pages"):
        open_month(source_file(path))
    pq.write_table(pq.read_table(path), path, row_group_size=20)
    open_month(source_file(path))


def test_small_row_groups_of_many_rows_may_have_more_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a writer of batches of 10,000 rows leaves them: a dictionary page and a data page per column."""
    monkeypatch.setattr(limits, "MAX_PAGES", 14)
    columns = {f"c{n}": pa.array([f"{row % 100}" for row in range(ROWS)]) for n in range(13)}
    path = hostile.parquet(tmp_path / "trips.parquet", ROWS, **columns)
    pq.write_table(pq.read_table(path), path, row_group_size=10_000)
    open_month(source_file(path))
