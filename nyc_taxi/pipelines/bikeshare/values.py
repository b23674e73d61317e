"""Parsing of values from text, JSON or a database driver into their column's type."""

from __future__ import annotations

import datetime as dt
import decimal
import math
import re
from collections.abc import Callable, Sequence
from typing import Any

from nyc_taxi.errors import SchemaError
from nyc_taxi.schema import Column


def parse(column: Column, value: object) -> Any:
    """Return the value for the column's Arrow type; None, and empty text in any but text columns, give None.

    Raises ValueError, without the column's name.
    """
    if value is None or (value == "" and column.type != "string"):
        if column.required:
            raise ValueError("is empty")
        return None
    return _PARSERS[column.type](value)


def parse_row(columns: Sequence[Column], row: Sequence[object], where: str) -> list[Any]:
    """Parse a row, with values in the order of the columns; raises SchemaError naming row and column."""
    if len(row) != len(columns):
        raise SchemaError(f"{where} has {len(row)} values, not {len(columns)}.")
    parsed = []
    for column, value in zip(columns, row, strict=True):
        try:
            parsed.append(parse(column, value))
        except ValueError as error:
            raise SchemaError(f"{where}, column {column.name}: {error}.") from None
    return parsed


def _text(value: object) -> str:
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            raise ValueError(f"is not text: {value[:20]!r}") from None
    if isinstance(value, str | int) and not isinstance(value, bool):
        return str(value)
    raise _unfit(value, "a text")


def _whole(bits: int) -> Callable[[object], int]:
    def parser(value: object) -> int:
        in_words = isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]{1,19}", value)
        if in_words or (isinstance(value, decimal.Decimal) and value == value.to_integral_value()):
            value = int(value)  # type: ignore[call-overload]
        if not isinstance(value, int) or isinstance(value, bool):
            raise _unfit(value, "a whole number")
        if not -(2 ** (bits - 1)) <= value < 2 ** (bits - 1):
            raise _unfit(value, f"a whole number of {bits} bits")
        return value

    return parser


def _number(value: object) -> float:
    if isinstance(value, str | int | float | decimal.Decimal) and not isinstance(value, bool):
        try:
            number = float(value)
        except (ValueError, OverflowError):
            raise _unfit(value, "a number") from None
        if math.isfinite(number):
            return number
    raise _unfit(value, "a number")


def _date(value: object) -> dt.date:
    if isinstance(value, str):
        try:
            return dt.date.fromisoformat(value)
        except ValueError:
            raise _unfit(value, "a date such as 2018-01-31") from None
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        return value
    raise _unfit(value, "a date")


def _timestamp(value: object) -> dt.datetime:
    moment = _moment(value)
    if moment.tzinfo is not None:
        raise _unfit(value, "a time without a zone")
    return moment


def _instant(value: object) -> dt.datetime:
    moment = _moment(value)
    if moment.tzinfo is None:
        if isinstance(value, str):
            raise _unfit(value, "a time with its zone, such as 2018-01-31 12:00:00 UTC")
        return moment.replace(tzinfo=dt.UTC)  # from MySQL, whose session is in UTC
    return moment.astimezone(dt.UTC)


def _moment(value: object) -> dt.datetime:
    if isinstance(value, str):
        try:
            return dt.datetime.fromisoformat(re.sub(r" ?UTC$", "+00:00", value))
        except ValueError:
            raise _unfit(value, "a time such as 2018-01-31 12:00:00") from None
    if isinstance(value, dt.datetime):
        return value
    raise _unfit(value, "a time")


def _unfit(value: object, expected: str) -> ValueError:
    shown = repr(value)
    return ValueError(f"{shown if len(shown) <= 60 else shown[:57] + '...'} is not {expected}")


_PARSERS: dict[str, Callable[[object], Any]] = {
    "int16": _whole(16),
    "int32": _whole(32),
    "int64": _whole(64),
    "float64": _number,
    "string": _text,
    "date": _date,
    "timestamp": _timestamp,
    "instant": _instant,
}
