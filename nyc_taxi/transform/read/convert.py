"""Arrow arrays of any type a file ever used, converted to a canonical column.

Every conversion is checked: a value that does not fit comes back as null with its place in the
mask of bad values. The same text means the same value whichever path reads it and whatever stands
beside it: text is converted by the ladders below, whole arrays first, and an array that fails is
halved until the values at fault stand alone.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nyc_taxi.errors import SchemaError
from nyc_taxi.schema import Column
from nyc_taxi.schema.arrow import ARROW_TYPES

NULL_TEXTS = ["", "NULL", "null", "\\N", "nan", "NaN"]

Converted = tuple[pa.Array, np.ndarray | None]
"""Values, and a boolean mask of the bad ones (None: there are none)."""

_UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_FIRST_DAY = (dt.date.min - dt.date(1970, 1, 1)).days + 1
_LAST_DAY = (dt.date.max - dt.date(1970, 1, 1)).days - 1
_SMALLEST, _GREATEST = -(2**63), 2**63 - 1

_AM_PM = r"^\d+/\d+/\d{4} \d+:[0-5]\d:[0-5]\d [APap][Mm]$"
_BAD = object()


def convert(array: pa.Array, column: Column, file: str) -> Converted:
    """Convert to the column's type; raises SchemaError for a type that can never fit."""
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    kind, target = array.type, ARROW_TYPES[column.type]
    if pa.types.is_null(kind):
        return pa.nulls(len(array), target), None
    if column.codes and not (pa.types.is_integer(kind) and pa.types.is_integer(target)):
        return decode(_as_text(array).dictionary_encode(), column)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return from_text(_as_text(array), target)
    if pa.types.is_string(target):
        return _as_text(array), None
    if pa.types.is_timestamp(target) and (pa.types.is_timestamp(kind) or pa.types.is_date(kind)):
        return wall_time(array)
    if _is_number(kind) and pa.types.is_floating(target):
        return finite(array.cast(target, safe=False))
    if _is_number(kind) and pa.types.is_integer(target):
        return _whole_numbers(array, target)
    raise SchemaError(f"{file}: column {column.name} has type {kind}, which cannot become {target}.")


def first_that_holds(parts: list[Converted]) -> Converted:
    """One column out of several names for it: row by row the first that holds a value."""
    if len(parts) == 1:
        return parts[0]
    return pc.coalesce(*(values for values, _ in parts)), _any_of(*(bad for _, bad in parts))


def finite(values: pa.Array) -> Converted:
    """Floats without NaN, which is how some writers spell nothing, and with infinity as a bad value."""
    if pc.all(pc.is_finite(values)).as_py() is not False:
        return values, None
    return pc.if_else(pc.is_finite(values), values, None), _mask(pc.fill_null(pc.is_inf(values), False))


def wall_time(array: pa.Array) -> Converted:
    """Dates and timestamps of any unit as naive microseconds; those outside the years 1 to 9999 are bad.

    A zone in a file labels New York wall time; the wall time is what was meant.
    """
    array, bad = _within_calendar(array)
    if pa.types.is_timestamp(array.type) and array.type.tz:
        # UTC needs no database of time zones, which not every machine has
        array = (
            array.cast(pa.timestamp(array.type.unit)) if array.type.tz == "UTC" else pc.local_timestamp(array)
        )
    return array.cast(ARROW_TYPES["timestamp"], safe=False), bad


def _within_calendar(array: pa.Array) -> Converted:
    """Times without those that neither Python's nor most databases' calendar has: a day off at either end,
    so that no zone leads out of it.
    """
    day_units = {"date32[day]": 1, "date64[ms]": 86_400_000}
    unit = day_units.get(str(array.type)) or 86_400 * _UNITS[array.type.unit]
    numbers = array.view(pa.int32() if array.type.bit_width == 32 else pa.int64()).cast(pa.int64())
    inside = pc.and_(
        pc.greater_equal(numbers, max(_FIRST_DAY * unit, _SMALLEST)),
        pc.less_equal(numbers, min(_LAST_DAY * unit, _GREATEST)),
    )
    if pc.all(inside).as_py() is not False:
        return array, None
    return pc.if_else(inside, array, pa.scalar(None, array.type)), _mask(
        pc.fill_null(pc.invert(inside), False)
    )


def clean_text(array: pa.Array) -> pa.Array:
    """Text without surrounding spaces; the usual spellings of nothing become null."""
    text = pc.utf8_trim_whitespace(array.cast(pa.string()))
    return pc.if_else(pc.is_in(text, value_set=pa.array(NULL_TEXTS)), pa.scalar(None, pa.string()), text)


def from_text(text: pa.Array, target: pa.DataType) -> Converted:
    """Convert cleaned text to one of the canonical types."""
    if pa.types.is_string(target):
        return text, None
    ladder: list[Callable[[pa.Array], pa.Array]]
    if pa.types.is_timestamp(target):
        ladder = [_iso, _iso_with_zone, _am_pm]
    elif pa.types.is_integer(target):
        ladder = [lambda part: part.cast(target), lambda part: part.cast(pa.float64()).cast(target)]
    else:
        ladder = [lambda part: part.cast(target)]
    values = pa.concat_arrays(_climb(text, ladder, target))
    bad = _mask(pc.and_(pc.is_valid(text), pc.is_null(values)))
    if not pa.types.is_floating(target):
        return values, bad
    values, infinite = finite(values)
    return values, _any_of(bad, infinite)


def decode(encoded: pa.DictionaryArray, column: Column) -> Converted:
    """Codes, from the texts that older files wrote in their place or from numbers as text."""
    target = ARROW_TYPES[column.type]
    distinct = [_code(text, column) for text in encoded.dictionary.to_pylist()]
    values = pa.array([None if code is _BAD else code for code in distinct], target).take(encoded.indices)
    if _BAD not in distinct:
        return values, None
    bad = pa.array([code is _BAD for code in distinct]).take(encoded.indices)
    return values, _mask(pc.fill_null(bad, False))


def _climb(
    part: pa.Array, ladder: list[Callable[[pa.Array], pa.Array]], target: pa.DataType
) -> list[pa.Array]:
    """The array in pieces, each converted by the first rung that takes all of it; null where none does."""
    for rung in ladder:
        try:
            return [rung(part)]
        except pa.ArrowInvalid:
            continue
    if len(part) == 1:
        return [pa.nulls(1, target)]
    middle = len(part) // 2
    return _climb(part[:middle], ladder, target) + _climb(part[middle:], ladder, target)


def _iso(text: pa.Array) -> pa.Array:
    return text.cast(ARROW_TYPES["timestamp"])


def _iso_with_zone(text: pa.Array) -> pa.Array:
    """`2021-01-01T00:28:09.000Z`, as the republished fhvhv files have it: wall time all the same."""
    naive = pc.replace_substring_regex(text, r"(?:Z|\+00:00)$", "")
    return naive.cast(pa.timestamp("ns")).cast(ARROW_TYPES["timestamp"], safe=False)


def _am_pm(text: pa.Array) -> pa.Array:
    if pc.any(pc.invert(pc.match_substring_regex(text, _AM_PM))).as_py():
        raise pa.ArrowInvalid("another format")  # strptime takes years of two digits and a second 61
    values = pc.strptime(text, "%m/%d/%Y %I:%M:%S %p", "s").cast(ARROW_TYPES["timestamp"])
    days = pc.replace_substring_regex(text, r"^\d+/0?(\d+)/.*$", r"\1").cast(pa.int64())
    if pc.any(pc.not_equal(pc.day(values), days)).as_py():
        raise pa.ArrowInvalid("a day that its month does not have")  # strptime lets it spill over
    return values


def _as_text(array: pa.Array) -> pa.Array:
    if not pa.types.is_floating(array.type):
        return clean_text(array.cast(pa.string()))
    whole = pc.if_else(pc.equal(pc.floor(array), array), array, None)  # 1.0 stands for the code 1
    return pc.coalesce(whole.cast(pa.int64(), safe=False).cast(pa.string()), array.cast(pa.string()))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _whole_numbers(array: pa.Array, target: pa.DataType) -> Converted:
    try:
        return array.cast(target), None
    except pa.ArrowInvalid:
        pass
    info = np.iinfo(target.to_pandas_dtype())
    floats = array.cast(pa.float64(), safe=False)
    in_range = pc.and_(pc.greater_equal(floats, float(info.min)), pc.less_equal(floats, float(info.max)))
    fits = pc.and_(in_range, pc.equal(pc.floor(floats), floats))
    values = pc.if_else(pc.fill_null(fits, False), floats, None).cast(target)
    # NaN in a column of numbers is how some writers spell nothing
    nothing = pc.fill_null(pc.is_nan(floats), True)
    return values, _mask(pc.and_(pc.invert(nothing), pc.is_null(values)))


def _code(text: str | None, column: Column) -> object:
    cleaned = (text or "").strip()
    if cleaned in NULL_TEXTS:
        return None
    if cleaned.upper() in column.codes:
        return column.codes[cleaned.upper()]
    values, bad = from_text(pa.array([cleaned]), ARROW_TYPES[column.type])
    return values[0].as_py() if bad is None else _BAD


def _any_of(*masks: np.ndarray | None) -> np.ndarray | None:
    present = [mask for mask in masks if mask is not None]
    return np.logical_or.reduce(present) if present else None


def _mask(bad: pa.Array) -> np.ndarray | None:
    mask: np.ndarray = bad.to_numpy(zero_copy_only=False).astype(bool)
    return mask if mask.any() else None
