"""Write rows as CSV in the layout of their era, formatted column by column as Arrow text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nyc_taxi.local.samples.eras import Era, FileColumn
from nyc_taxi.local.samples.plan import MARK, UNREADABLE, Array
from nyc_taxi.local.samples.rows import Rows

MALFORMED = (
    ("pickup_datetime", "2021-02-30 12:00:00"),
    ("total_amount", "1O.80"),
    ("pickup_location_id", "7O"),
)
"""Unreadable cells: a day that does not exist, and letters O in numbers."""

FORMATS: dict[str, Callable[[Any], str]] = {
    "short": lambda hundredths: f"{hundredths / 100:.15g}",
    "bare": lambda hundredths: f"{hundredths / 100:.2f}".removeprefix("0"),
    "digits17": lambda hundredths: f"{hundredths / 100:.17g}",
    "python": lambda hundredths: repr(hundredths / 100),
}
COORDINATES: dict[str, Callable[[Any], str]] = {
    "digits17": lambda degrees: f"{degrees:.17g}",
    "float32": lambda degrees: f"{float(np.float32(degrees)):.17g}",
}
TIMES = {"iso": ("T", ".000Z"), "micro": (" ", ".000000")}


def write_csv(file: BinaryIO, era: Era, parts: Iterator[tuple[Rows, Array]]) -> None:
    """Write header and rows."""
    file.write(era.header.encode())
    for rows, marks in parts:
        file.write(_lines(rows, marks, era))


def _lines(rows: Rows, marks: Array, era: Era) -> memoryview:
    cells = {column.name: _cells(column, rows, era) for column in era.columns}
    _break_cells(cells, np.flatnonzero(marks == MARK[UNREADABLE]), len(rows), era)
    mark, between = ('"', '","') if era.quote == "all" else ("", ",")
    lines = pc.binary_join_element_wise(
        *cells.values(), between, null_handling="replace", null_replacement=era.none
    )
    lines = pc.binary_join_element_wise(mark, lines, f"{mark}{era.tail}{era.end}", "")
    _, offsets, text = lines.buffers()
    return memoryview(text)[: np.frombuffer(offsets, np.int32)[len(lines)]]


def _cells(column: FileColumn, rows: Rows, era: Era) -> pa.Array:
    name = column.canonical.name
    if column.empty:
        return pa.nulls(len(rows), pa.string())
    values = text(column, rows, era)
    return pc.if_else(rows.null[name], None, values) if name in rows.null else values


def text(column: FileColumn, rows: Rows, era: Era) -> pa.Array:
    """Format a column's values as its era does."""
    name, kind = column.canonical.name, column.canonical.type
    values = rows.values[name]
    if name in era.words:
        return _replace_codes(values, rows, era.words[name])
    if kind == "timestamp":
        plain = pa.array(values, pa.timestamp("s")).cast(pa.string())
        if era.time == "plain":
            return plain
        between, after = TIMES[era.time]
        return pc.binary_join_element_wise(pc.binary_replace_slice(plain, 10, 11, between), after, "")
    if column.canonical.unit == "degrees":
        return _format_values(values, COORDINATES[era.coordinates])
    if kind == "float64":
        return _format_values(values, FORMATS[era.distance if name == "trip_distance" else era.numbers])
    if kind == "string":
        words = pa.array(values)
        return pc.binary_join_element_wise('"', words, '"', "") if era.quote == "text" else words
    return pa.array(values).cast(pa.string())


def _format_values(values: Array, write: Callable[[Any], str]) -> pa.Array:
    """Format values, each distinct one only once."""
    different, places = np.unique(values, return_inverse=True)
    return pa.array([write(value) for value in different.tolist()], pa.string()).take(pa.array(places))


def _replace_codes(values: Array, rows: Rows, words: dict[Any, Any]) -> pa.Array:
    """Replace codes by texts, which may differ by vendor."""
    vendors = rows.values["vendor_id"]
    out = np.empty(len(values), object)
    for code in np.unique(values).tolist():
        has_code = values == code
        word = words[code]
        out[has_code] = word if isinstance(word, str) else np.array(word, object)[vendors[has_code] - 1]
    return pa.array(out, pa.string())


def _break_cells(cells: dict[str, pa.Array], places: Array, count: int, era: Era) -> None:
    """Break one cell per row of `places`, alternating between the columns of MALFORMED in the file."""
    if not len(places):
        return
    own = {column.canonical.name: column.name for column in era.columns if not column.empty}
    kinds = [(own[name], bad) for name, bad in MALFORMED if name in own]
    for turn, (name, bad) in enumerate(kinds):
        spoilt = np.zeros(count, bool)
        spoilt[places[turn :: len(kinds)]] = True
        cells[name] = pc.if_else(spoilt, bad, cells[name])
