"""Rows as JSON, made column by column: the text is the one that is made row by row."""

from __future__ import annotations

import datetime as dt
import json
import math

import pyarrow as pa
import pytest

from nyc_taxi.transform.json_rows import json_rows
from nyc_taxi.transform.read import as_json

COLUMNS = {
    "number": pa.array([1, None, -(2**40), 0]),
    "amount": pa.array([0.1, -0.0, 0.0, None]),
    "odd": pa.array([math.nan, math.inf, -math.inf, 1e22]),
    "text": pa.array(['say "hi"\\', None, "caf\u00e9 \0 \N{TAXI}", ""]),
    'name "quoted"': pa.array(["a", "b", "c", "d"]),
    "written_nul": pa.array([r"\u0000", "\\\0", r"\\u0000", r"\x00"]),
    "time": pa.array(
        [dt.datetime(2020, 4, 1, 0, 0, 7), None, dt.datetime(9, 1, 1), dt.datetime(9999, 12, 31)]
    ),
    "fine_time": pa.array([dt.datetime(2020, 4, 1, 0, 0, 7, 5), None, None, dt.datetime(2020, 4, 1)]),
    "day": pa.array([dt.date(2020, 4, 1), None, None, None]),
    "yes": pa.array([True, False, None, None]),
    "nothing": pa.nulls(4, pa.string()),
}


@pytest.mark.parametrize("names", [list(COLUMNS), *([name] for name in COLUMNS)])
def test_the_text_is_that_of_each_row(names: list[str]) -> None:
    batch = pa.RecordBatch.from_pydict({name: COLUMNS[name] for name in names})
    expected = [
        as_json({name: value for name, value in row.items() if value is not None})
        for row in batch.to_pylist()
    ]
    assert json_rows(batch).to_pylist() == expected
    assert json_rows(batch.slice(1, 2)).to_pylist() == expected[1:3]
    assert json_rows(batch.slice(0, 0)).to_pylist() == []


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a\0b", r'"a\\x00b"'),
        (r"\u0000", r'"\\u0000"'),
        ("\\\0", r'"\\\\x00"'),
        ([("k\0", {"\0": "\0"})], r'[["k\\x00", {"\\x00": "\\x00"}]]'),
    ],
)
def test_a_nul_is_spelled_out_and_what_looks_like_one_stays(value: object, text: str) -> None:
    assert as_json({"cell": value}) == f'{{"cell": {text}}}'
    json.loads(text)
