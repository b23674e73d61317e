"""One value at a time."""

import datetime as dt
from decimal import Decimal

import pytest

from nyc_taxi.errors import SchemaError
from nyc_taxi.pipelines.bikeshare.values import parse, parse_row
from nyc_taxi.schema import Column

MORNING = dt.datetime(2018, 1, 1, 8, 30)


def column(kind: str, required: bool = False) -> Column:
    return Column("x", kind, "", required=required)


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("string", "", ""),
        ("string", 7482018010115563300, "7482018010115563300"),
        ("string", "Peña".encode(), "Peña"),
        ("int64", "-9223372036854775808", -(2**63)),
        ("int64", "", None),
        ("int64", Decimal("3.00"), 3),
        ("int16", 32767, 32767),
        ("float64", "1e3", 1000.0),
        ("float64", Decimal("0.5"), 0.5),
        ("date", "2018-01-31", dt.date(2018, 1, 31)),
        ("date", dt.date(2018, 1, 31), dt.date(2018, 1, 31)),
        ("timestamp", "2018-01-01 08:30:00", MORNING),
        ("timestamp", MORNING, MORNING),
        ("instant", "2018-01-01 08:30:00 UTC", MORNING.replace(tzinfo=dt.UTC)),
        ("instant", "2018-01-01T10:30:00+02:00", MORNING.replace(tzinfo=dt.UTC)),
        ("instant", MORNING, MORNING.replace(tzinfo=dt.UTC)),  # of MySQL, whose session is in UTC
        ("instant", None, None),
    ],
)
def test_fits(kind, value, expected):
    assert parse(column(kind), value) == expected


@pytest.mark.parametrize(
    ("kind", "value", "says"),
    [
        ("string", 1.5, "1.5 is not a text"),
        ("string", True, "True is not a text"),
        ("string", b"\xf1", "is not text"),
        ("int64", "3.0", "'3.0' is not a whole number"),
        ("int64", Decimal("3.5"), "is not a whole number"),
        ("int64", "9223372036854775808", "is not a whole number of 64 bits"),
        ("int64", " 3", "' 3' is not a whole number"),
        ("int64", True, "is not a whole number"),
        ("int64", 3.0, "is not a whole number"),
        ("int16", 32768, "is not a whole number of 16 bits"),
        ("float64", "nan", "'nan' is not a number"),
        ("date", "2018-02-30", "is not a date such as"),
        ("date", MORNING, "is not a date"),
        ("timestamp", "2018-01-01 08:30:00 UTC", "is not a time without a zone"),
        ("instant", "2018-01-01 08:30:00", "is not a time with its zone"),
        ("instant", "yesterday", "is not a time such as"),
        ("instant", 5, "is not a time"),
    ],
)
def test_does_not_fit(kind, value, says):
    with pytest.raises(ValueError, match=says):
        parse(column(kind), value)


@pytest.mark.parametrize("value", [None, ""])
def test_a_required_value_is_there(value):
    with pytest.raises(ValueError, match="is empty"):
        parse(column("int64", required=True), value)


def test_a_row_says_which_column_is_wrong():
    columns = [column("int64"), Column("capacity", "int64", "")]
    assert parse_row(columns, ["1", None], "row 7") == [1, None]
    with pytest.raises(SchemaError, match="row 7, column capacity: 'many' is not a whole number"):
        parse_row(columns, ["1", "many"], "row 7")
    with pytest.raises(SchemaError, match="row 7 has 3 values, not 2"):
        parse_row(columns, ["1", "2", "3"], "row 7")
