r"""Cloud SQL's CSV. The files here are written by the rules of MySQL's own writer, or by hand."""

from __future__ import annotations

import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nyc_taxi.errors import NotTripData, SchemaError
from nyc_taxi.pipelines.bikeshare import export_csv
from nyc_taxi.pipelines.bikeshare.export_csv import export_rows
from nyc_taxi.pipelines.bikeshare.sample import NASTY
from nyc_taxi.pipelines.bikeshare.tables import RawTable
from nyc_taxi.schema import Column
from tests.support.bikeshare import raw_table

STATIONS = raw_table("stations")
TEXTS = RawTable(
    "texts",
    "mysql",
    "a",
    "",
    (
        Column("a", "string", ""),
        Column("b", "string", ""),
        Column("c", "string", ""),
        Column("d", "string", ""),
        Column("n", "int64", ""),
    ),
)


def read(data: bytes, escape: str, table: RawTable = STATIONS) -> list[list[str | None]]:
    return list(export_rows(io.BytesIO(data), table, escape, "gs://b/stations.csv"))


def written(rows: list[tuple], escape: str) -> bytes:
    """As SELECT ... INTO OUTFILE writes rows (MySQL's Query_result_export::send_data), byte by byte."""
    mark = b'"' if escape == "22" else b"\\"

    def field(value: object) -> bytes:
        if value is None:
            return mark + b"N"
        if isinstance(value, int):
            return str(value).encode()
        text = b""
        for number in str(value).encode():
            byte = bytes([number])
            text += mark + (b"0" if byte == b"\0" else byte) if byte in (mark, b'"', b"\n", b"\0") else byte
        return b'"' + text + b'"'

    return b"".join(b",".join(map(field, row)) + b"\n" for row in rows)


def as_text(rows: list[tuple]) -> list[list[str | None]]:
    return [[None if value is None else str(value) for value in row] for row in rows]


def test_the_trap_as_cloud_sql_writes_it() -> None:
    """NULL is a quote and N; to other readers the quote begins a text."""
    data = b'1,"Market St",3,27\n2,"N,"N,15\n3,"Depot","N,"N\n4,"N",5,0\n'
    assert read(data, "22") == [
        ["1", "Market St", "3", "27"],
        ["2", None, None, "15"],
        ["3", "Depot", None, None],
        ["4", "N", "5", "0"],
    ]


def test_the_recommended_escape() -> None:
    data = b'1,"Market St",3,27\n2,\\N,\\N,15\n3,"a \\"b\\" \\\\ c\\\nd\\0e","\\N"'.replace(
        b'"\\N"', b"\\N,0\n"
    )
    assert read(data, "5C") == [
        ["1", "Market St", "3", "27"],
        ["2", None, None, "15"],
        ["3", 'a "b" \\ c\nd\0e', None, "0"],
    ]


@pytest.mark.parametrize("escape", ["22", "5C"])
def test_a_nasty_name(escape: str) -> None:
    rows = [(1, NASTY, 2, 27), (2, 'N, "N,\n,"', None, 0), (3, "", 1, 1), (4, None, 1, None)]
    assert read(written(rows, escape), escape) == as_text(rows)


ANYTHING = st.one_of(st.none(), st.text(st.sampled_from('N",\\\n\r\0ab0ñ'), max_size=6))
NUMBERS = st.one_of(st.none(), st.integers(-9, 99))
ROWS = st.lists(st.tuples(st.integers(0, 9), ANYTHING, NUMBERS, NUMBERS), max_size=4)


@pytest.mark.parametrize("escape", ["22", "5C"])
@given(rows=ROWS, block=st.sampled_from([1, 2, 3, 7, 1 << 20]))
@example(rows=[(1, None, None, None), (1, "N", None, None), (1, "N,", 5, None), (1, '"', 1, 1)], block=1)
def test_whatever_is_in_a_table_comes_back(escape: str, rows: list[tuple], block: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export_csv, "BLOCK", block)
        assert read(written(rows, escape), escape) == as_text(rows)


@given(rows=st.lists(st.tuples(ANYTHING, ANYTHING, ANYTHING, ANYTHING, NUMBERS), max_size=3))
@example(rows=[("N,", '","', "", None, 1)])
def test_a_row_of_texts_comes_back_or_is_refused(rows: list[tuple]) -> None:
    """With several texts a row may look like another; it is never taken for it."""
    data = written(rows, "22")
    try:
        assert read(data, "22", TEXTS) == as_text(rows)
    except SchemaError as error:
        assert "is ambiguous" in str(error)  # noqa: PT017
    assert read(written(rows, "5C"), "5C", TEXTS) == as_text(rows)


def test_a_row_that_has_two_meanings_is_refused_with_what_to_do() -> None:
    one, other = (None, "", "\0x", 'N,","0x', 1), ('N,","0x', None, "", "\0x", 1)
    assert written([one], "22") == written([other], "22")
    with pytest.raises(SchemaError, match=r"row 1 is ambiguous.*--escape=5C"):
        read(written([one], "22"), "22", TEXTS)
    assert read(written([one, other], "5C"), "5C", TEXTS) == as_text([one, other])


def test_a_text_at_the_end_is_refused_where_it_cannot_be_told() -> None:
    """With the quote as escape character, a quote and a line feed end a row, or are within its last text."""
    regions = raw_table("regions")
    with pytest.raises(SchemaError, match=r"last column name is text.*--escape=5C"):
        read(b'3,"San Francisco"\n', "22", regions)
    assert read(b'3,"San\\\nFrancisco"\n4,\\N\n', "5C", regions) == [["3", "San\nFrancisco"], ["4", None]]


@pytest.mark.parametrize(
    ("data", "escape"),
    [
        (b"1,Market St,3,27\n", "22"),  # a text without quotes
        (b'1,"Market St",3\n', "22"),
        (b'1,"Market St",3,27,4\n', "22"),
        (b'1,"Market St",3,27', "22"),  # cut off
        (b'1,"Market',"22"),
        (b'1,\\N,3,27\n', "22"),  # the other escape character
        (b'1,"N,3,27\n', "5C"),
        (b'id,name,region_id,capacity\n1,"Market St",3,27\n', "22"),
    ],
)  # fmt: skip
def test_what_is_no_such_row_is_named(data: bytes, escape: str) -> None:
    with pytest.raises(SchemaError, match=rf"gs://b/stations.csv: row 1 is not station_id, name.*{escape}"):
        read(data, escape)


def test_rows_before_a_bad_one_are_counted() -> None:
    with pytest.raises(SchemaError, match="row 3 is not"):
        read(b'1,"a",3,27\n2,"b",3,27\n3,c,3,27\n', "22")


def test_a_file_that_is_no_export_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_csv, "LONGEST_ROW", 5_000)
    monkeypatch.setattr(export_csv, "BLOCK", 1_000)
    file = io.BytesIO(b"<html>" + b"x" * 100_000)
    with pytest.raises(SchemaError, match="row 1 is not"):
        list(export_rows(file, STATIONS, "22", "x"))
    assert file.tell() <= 7_000


def test_other_bytes_than_utf8_are_refused() -> None:
    with pytest.raises(NotTripData, match="row 1 is not UTF-8"):
        read(b'1,"Pe\xf1a",3,27\n', "22")
