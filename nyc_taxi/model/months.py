"""Services and months: the two coordinates of every trip file.

TLC publishes one file per service and month, about two months after the month ends.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

import pydantic
from pydantic_core import core_schema

from nyc_taxi.errors import SettingsError

PUBLICATION_LAG_MONTHS = 2
"""Months from the end of a month to its publication, according to TLC's trip record page."""


class Service(StrEnum):
    """A kind of for-hire service with files of its own: its name, and its first month that TLC published."""

    YELLOW = "yellow", "2009-01"
    GREEN = "green", "2013-08"
    FHV = "fhv", "2015-01"
    FHVHV = "fhvhv", "2019-02"

    _since: str

    def __new__(cls, name: str, since: str = "") -> Self:
        """Return the member of that name."""
        member = str.__new__(cls, name)
        member._value_ = name
        member._since = since
        return member

    @classmethod
    def parse(cls, text: str) -> Service:
        """Parse a service's name; raises SettingsError that lists the names."""
        try:
            return cls(str(text).strip().lower())
        except ValueError:
            names = ", ".join(cls)
            raise SettingsError(f"service {text!r} is not known: use one of {names}.") from None

    @classmethod
    def parse_several(cls, text: str) -> list[Service]:
        """Parse names separated by commas; raises SettingsError that lists the names."""
        return [cls.parse(name) for name in text.split(",")]

    @property
    def first_month(self) -> Month:
        """The first month that TLC published of this service."""
        return Month.parse(self._since)


*_BUT_LAST, _LAST = Service
SERVICE_NAMES = f"{', '.join(_BUT_LAST)} or {_LAST}"
"""For texts: yellow, green, ..."""


@dataclass(frozen=True, order=True)
class Month:
    """A calendar month; printed as `2020-04`."""

    year: int
    number: int

    def __post_init__(self) -> None:
        if not (1 <= self.number <= 12 and 2000 <= self.year <= 2999):
            raise SettingsError(
                f"there is no month {self.year:04d}-{self.number:02d} of taxi trips: write it as 2020-04."
            )

    @classmethod
    def parse(cls, text: str | Month) -> Month:
        """Parse `2020-04` or `2020-04-01`; raises SettingsError otherwise."""
        if isinstance(text, Month):
            return text
        match = re.fullmatch(r"\s*(\d{4})-(\d{2})(?:-\d{2})?\s*", str(text))
        if not match:
            raise SettingsError(f"month {text!r} is not a month: write it as 2020-04.")
        return cls(int(match[1]), int(match[2]))

    @classmethod
    def of(cls, day: dt.date) -> Month:
        """Return the month of a day."""
        return cls(day.year, day.month)

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: Any, handler: pydantic.GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """Let pydantic models read text with `parse`, accept dates from databases, and write text."""
        return core_schema.no_info_plain_validator_function(
            cls._validate, serialization=core_schema.to_string_ser_schema()
        )

    @classmethod
    def _validate(cls, value: object) -> Month:
        if isinstance(value, dt.date):
            return cls.of(value)
        try:
            return cls.parse(value)  # type: ignore[arg-type]  # refuses what is neither text nor a month
        except SettingsError as error:
            raise ValueError(str(error)) from None

    def __str__(self) -> str:
        return f"{self.year:04d}-{self.number:02d}"

    def __add__(self, months: int) -> Month:
        year, number = divmod(self.index + months, 12)
        return Month(year, number + 1)

    def __sub__(self, months: int) -> Month:
        return self + -months

    @property
    def index(self) -> int:
        """The months from January of year 0 to this one: differences count months."""
        return self.year * 12 + self.number - 1

    @property
    def start(self) -> dt.datetime:
        """The first moment of the month, in naive New York time as in the files."""
        return dt.datetime(self.year, self.number, 1)

    @property
    def end(self) -> dt.datetime:
        """The first moment after the month."""
        return (self + 1).start

    @property
    def first_day(self) -> dt.date:
        """The month as a date: the value of the `month` column in every table."""
        return self.start.date()


def month_range(first: Month, last: Month) -> Iterator[Month]:
    """Iterate over the months from `first` to `last`, both included; none if `last` is earlier."""
    month = first
    while month <= last:
        yield month
        month += 1


def expected_last(today: dt.date) -> Month:
    """Return the newest month that TLC should have published by `today`."""
    return Month.of(today) - PUBLICATION_LAG_MONTHS
