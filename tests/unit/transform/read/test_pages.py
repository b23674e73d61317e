from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nyc_taxi.errors import NotTripData
from nyc_taxi.transform.read import limits, open_month
from nyc_taxi.transform.read.pages import largest_pages
from tests.support import hostile
from tests.support.builders import source_file

ROWS = 50_000

ONE_PAGE = {"max_rows_per_page": ROWS} if "max_rows_per_page" in (pq.write_table.__doc__ or "") else {}
"""Lifts the limit on the rows of a page; older versions of Arrow have none."""


def written(path: Path, **options: object) -> pq.FileMetaData:
    columns = {"number": np.random.default_rng(1).random(ROWS), "text": ["a" * 3000, "b"] * (ROWS // 2)}
    pq.write_table(pa.table(columns), path, use_dictionary=["text"], **options)
    return pq.read_metadata(path)


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


def test_pages_beyond_the_limit_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = hostile.parquet(tmp_path / "trips.parquet", ROWS, tip_amount=pa.array(np.arange(ROWS) / 100))
    monkeypatch.setattr(limits, "MAX_PAGE_BYTES", 1 << 10)
    with pytest.raises(NotTripData, match=r"trips\.parquet: has pages of .* write it in smaller pages"):
        open_month(source_file(path))
