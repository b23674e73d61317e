"""No row is lost, and no value is changed by its neighbours: any mix of good and malformed cells."""

import datetime as dt
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
from hypothesis import example, given
from hypothesis import strategies as st

from nyc_taxi.model.months import Service
from nyc_taxi.transform.read.csv import CsvReader
from nyc_taxi.transform.read.lines import as_text, whole_lines
from tests.support.builders import read_all, source_file

BAD = object()
"""In place of a value: the row must come back as unreadable."""

TEN = dt.datetime(2020, 4, 1, 10)
TIMES: dict[str, Any] = {
    "2020-04-01 10:00:00": TEN,
    " 2020-04-01 10:00:00": TEN,
    '"2020-04-01 10:00:00"': TEN,
    "2020-04-01T10:00:00.000Z": TEN,
    "2020-04-01T10:00:00+00:00": TEN,
    "2020-04-01 10:00:00.25": TEN.replace(microsecond=250_000),
    "2020-04-01 10:00:00.1234567": TEN.replace(microsecond=123_456),
    "2020-04-01": TEN.replace(hour=0),
    "2300-01-01 00:00:00": dt.datetime(2300, 1, 1),
    "04/01/2020 10:00:00 AM": TEN,
    "4/1/2020 10:00:00 pm": TEN.replace(hour=22),
    "12/31/2019 12:00:00 AM": dt.datetime(2019, 12, 31),
    "": None,
    "2020-04-31 10:00:00": BAD,
    "04/31/2020 10:00:00 AM": BAD,
    "04/01/2020 13:00:00 PM": BAD,
    "04/01/2020 10:00:61 AM": BAD,
    "4/1/20 10:00:00 AM": BAD,
    "2020-04-01T10:00:00-05:00": BAD,
    "yesterday": BAD,
    "43922.4": BAD,
}
AMOUNTS: dict[str, Any] = {
    "8": 8.0,
    ".5": 0.5,
    " 8.25 ": 8.25,
    "-3.0": -3.0,
    '"1.5"': 1.5,
    "1e2": 100.0,
    "8.9000000000000004": 8.9,
    "": None,
    "NaN": None,
    "NAN": None,
    "\\N": None,
    "inf": BAD,
    "-1e999": BAD,
    "1O.80": BAD,
    "$8": BAD,
    "8 .5": BAD,
}
COUNTS: dict[str, Any] = {
    "1": 1,
    " 2": 2,
    "1.0": 1,
    "3.": 3,
    "-1": -1,
    '"4"': 4,
    "": None,
    "null": None,
    "1.5": BAD,
    "32768": BAD,
    "one": BAD,
}
CODES: dict[str, Any] = {
    "1": 1,
    "CSH": 2,
    " cas ": 2,
    '"No Charge"': 3,
    "2.0": 2,
    "": None,
    "NULL": None,
    "Cheque": BAD,
    "1.5": BAD,
    "99999": BAD,
}
FLAGS: dict[str, Any] = {
    "N": "N",
    '"Y"': "Y",
    " N ": "N",
    "1": "Y",
    "0.0": "N",
    "": None,
    '" "': None,
    "*": "*",
}
TEXTS: dict[str, Any] = {"a": "a", " a": " a", '"a,b"': "a,b", '"a""b"': 'a"b', "": None, "ü€": "ü€"}

COLUMNS: dict[str, tuple[str, dict[str, Any]]] = {
    "lpep_pickup_datetime": ("pickup_datetime", TIMES),
    "Lpep_dropoff_datetime": ("dropoff_datetime", TIMES),
    "Payment_type": ("payment_type", CODES),
    "passenger_count": ("passenger_count", COUNTS),
    "Trip_distance": ("trip_distance", AMOUNTS),
    "Fare_amount": ("fare_amount", AMOUNTS),
    "total_amount": ("total_amount", AMOUNTS),
    "Store_and_fwd_flag": ("store_and_fwd_flag", FLAGS),
    "Note": ("note", TEXTS),
}

SPOILERS = {
    "short": lambda line: b"short",
    "more values": lambda line: line + b",7",
    "open quote": lambda line: b'"' + line.replace(b'"', b""),
    "open quote after another": lambda line: b'x"' + line.replace(b'"', b"") + b',"',
    "NUL": lambda line: line + b"\0",
    "carriage return": lambda line: line[:3] + b"\r" + line[3:],
    "not UTF-8": lambda line: line + b"\xe9",
}


@st.composite
def files(draw: st.DrawFn) -> tuple[bytes, list[dict[str, Any] | None]]:
    """A CSV, and the values of its rows; None for a row that must be unreadable."""
    names = draw(st.permutations(list(COLUMNS)))
    tails = draw(st.sampled_from((b"", b",", b",,")))
    lines, expected = [",".join(names).encode()], []
    good_only = {
        name: [cell for cell, value in COLUMNS[name][1].items() if value is not BAD] for name in names
    }
    for _ in range(draw(st.integers(0, 12))):
        plain = draw(st.booleans())
        cells = {
            name: draw(st.sampled_from(good_only[name] if plain else list(COLUMNS[name][1])))
            for name in names
        }
        values = {COLUMNS[name][0]: COLUMNS[name][1][cell] for name, cell in cells.items()}
        line = ",".join(cells.values()).encode() + tails
        spoiler = None if plain else draw(st.none() | st.sampled_from(list(SPOILERS)))
        if spoiler:
            line = SPOILERS[spoiler](line)
        lines += [b""] * draw(st.integers(0, 1)) + [line]
        expected.append(None if spoiler or BAD in values.values() else values)
    end = draw(st.sampled_from((b"\n", b"\r\n")))
    return end.join(lines) + draw(st.sampled_from((b"", end))), expected


def numbered(expected: list[dict[str, Any] | None]) -> dict[int, dict[str, Any]]:
    return {number: values for number, values in enumerate(expected, 1) if values is not None}


def test_every_cell_has_its_value(tmp_path: Path) -> None:
    """Each cell of the tables above in a row of its own."""
    plain = {name: next(iter(cells.items())) for name, (_, cells) in COLUMNS.items()}
    rows = [{**plain, name: cell} for name, (_, cells) in COLUMNS.items() for cell in cells.items()]
    path = tmp_path / "trips.csv"
    lines = [",".join(COLUMNS), *(",".join(text for text, _ in row.values()) for row in rows)]
    path.write_text("\n".join(lines), encoding="utf-8")
    read = read_all(CsvReader(source_file(path)))
    for number, row in enumerate(rows, 1):
        values = {COLUMNS[name][0]: value for name, (_, value) in row.items()}
        if BAD in values.values():
            assert number in read.unreadable, lines[number]
        else:
            assert {name: read.rows[number][name] for name in values} == values, lines[number]


@given(files(), st.integers(1, 400))
@example((",".join(COLUMNS).encode() + b"\n", []), 1)
def test_every_row_comes_back_once_with_its_own_values(
    file: tuple[bytes, list[dict[str, Any] | None]], block_bytes: int
) -> None:
    content, expected = file
    with TemporaryDirectory() as folder:
        path = Path(folder, "trips.csv")
        path.write_bytes(content)
        for reader in (CsvReader(source_file(path)), CsvReader(source_file(path), block_bytes)):
            read = read_all(reader)
            filled = [name for name in reader.schema.names if name not in reader.mapping.absent]
            cells = {number: {name: row[name] for name in filled} for number, row in read.rows.items()}
            assert cells == numbered(expected)
            assert len(read.unreadable) == len(expected) - len(cells)


@given(files())
def test_both_paths_give_the_same_rows(file: tuple[bytes, list[dict[str, Any] | None]]) -> None:
    """What the fast path takes, the path that explains reads in the same way."""
    content, expected = file
    with TemporaryDirectory() as folder:
        path = Path(folder, "trips.csv")
        path.write_bytes(content)
        reader = CsvReader(source_file(path))
        for line in whole_lines(content.split(b"\n", 1)[-1]) if expected else ():
            fast, slow = reader.parse(line + b"\n"), reader._parse_text(line + b"\n")
            assert fast.batch.equals(slow.batch)
            assert fast.unreadable == slow.unreadable
        assert pa.Table.from_batches(
            [reader.parse(block).batch for block in reader.blocks()], reader.schema
        ) == (
            pa.Table.from_batches(
                [reader._parse_text(block).batch for block in reader.blocks()], reader.schema
            )
        )


ANY_LINES = (
    st.binary(max_size=8)
    | st.text('a1",\r \0ü', max_size=12).map(str.encode)
    | st.lists(st.text('a" ', max_size=5), min_size=2, max_size=3).map(
        lambda cells: ",".join(["", *cells]).encode()
    )
)


@given(st.lists(ANY_LINES, max_size=8), st.integers(1, 60))
@example([b'a","b"c","d', b"a", b'"'], 1)
def test_whatever_the_lines_hold_none_is_lost(lines: list[bytes], block_bytes: int) -> None:
    """A line that is a row by accident keeps its number; all others come back as they are."""
    content = b"pickup_datetime,dispatching_base_num,note\n" + b"\n".join(lines)
    with TemporaryDirectory() as folder:
        path = Path(folder, "trips.csv")
        path.write_bytes(content)
        wholes = whole_lines(content)[1:]
        for reader in (
            CsvReader(source_file(path, Service.FHV)),
            CsvReader(source_file(path, Service.FHV), block_bytes),
        ):
            read = read_all(reader)
            assert [*read.rows.keys() | read.unreadable.keys()] == list(range(1, len(wholes) + 1))
            assert all(item.raw == as_text(wholes[number - 1]) for number, item in read.unreadable.items())
