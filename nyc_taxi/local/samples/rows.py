"""Rows in memory, by canonical column, and the changes that turn them into quirks."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

import numpy as np

from nyc_taxi.local.samples.plan import MARK, Array, Part, Plan

MONEY = (
    "fare_amount",
    "extra",
    "mta_tax",
    "tip_amount",
    "tolls_amount",
    "improvement_surcharge",
    "total_amount",
    "congestion_surcharge",
    "airport_fee",
    "cbd_congestion_fee",
)
STRAY_DATES = (dt.date(2009, 1, 1), dt.date(2008, 12, 31), dt.date(2041, 11, 15))
"""Dates of meters with a wrong clock, besides the days before and after the month."""


@dataclass
class Rows:
    """Rows of a file.

    Times are seconds since 1970, amounts cents, distances hundredths of a mile, coordinates degrees;
    texts are numpy strings. `null` masks missing values.
    """

    values: dict[str, Array] = field(default_factory=dict)
    null: dict[str, Array] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.values["pickup_datetime"])

    def set_null(self, name: str, missing: Array) -> None:
        """Mark more values of a column as missing."""
        self.null[name] = self.null[name] | missing if name in self.null else missing

    def repeat(self, times: Array) -> Rows:
        """Return each row repeated `times` times, copies side by side."""
        return Rows(
            {name: np.repeat(column, times) for name, column in self.values.items()},
            {name: np.repeat(column, times) for name, column in self.null.items()},
        )


def move_in_time(rows: Rows, part: Part, plan: Plan) -> None:
    """Apply the quirks of time: a pick-up outside the month, or a drop-off before the pick-up."""
    pickup, dropoff = rows.values["pickup_datetime"], rows.values["dropoff_datetime"]
    stray = np.flatnonzero(part.marks == MARK["outside_month"])
    first, last = plan.month.start.date(), plan.month.end.date()
    near = [first - dt.timedelta(days=1), last]
    days = [day for day in (*near, *STRAY_DATES) if not first <= day < last]
    order = part.strays_before + np.arange(len(stray))
    # 7919 and 86400 are coprime: no two stray trips of a day have the same second
    moved = np.array([_seconds(day) for day in days])[order % len(days)] + order * 7919 % 86400
    dropoff[stray] += moved - pickup[stray]
    pickup[stray] = moved
    back = part.marks == MARK["dropoff_before_pickup"]
    dropoff[back] = 2 * pickup[back] - dropoff[back]


def _seconds(day: dt.date) -> int:
    return (day - dt.date(1970, 1, 1)).days * 86400


def change_values(rows: Rows, part: Part, rng: np.random.Generator) -> None:
    """Apply the quirks that change a value."""
    values = rows.values

    def put(quirk: str, name: str, choices: list[int] | list[str]) -> None:
        marked = np.flatnonzero(part.marks == MARK[quirk])
        if len(marked) and name in values:
            values[name][marked] = rng.choice(choices, len(marked))

    put("no_passengers", "passenger_count", [0])
    put("many_passengers", "passenger_count", [7, 8, 9])
    put("unknown_rate_code", "rate_code_id", [99])
    put("no_distance", "trip_distance", [0])
    put("absurd_distance", "trip_distance", [2715700, 5502731, 14187471, 31860857])
    put("stored_and_forwarded", "store_and_fwd_flag", ["Y"])
    put("unknown_zone", "pickup_location_id", [264, 265])
    put("unknown_zone", "dropoff_location_id", [264, 264, 265, 74])
    for name in ("pickup_latitude", "pickup_longitude", "dropoff_latitude", "dropoff_longitude"):
        put("zero_coordinates", name, [0])
    _negate(values, np.flatnonzero(part.marks == MARK["negative"]))


def add_pairs(rows: Rows, marks: Array) -> tuple[Rows, Array]:
    """Add the second row of pairs: of exact duplicates, and reversals before their charges."""
    reversal = marks == MARK["reversal"]
    times = np.where(reversal | (marks == MARK["exact_duplicate"]), 2, 1)
    if not np.any(times == 2):
        return rows, marks
    first = (np.cumsum(times) - times)[reversal]
    doubled = rows.repeat(times)
    if "total_amount" in doubled.values:
        _negate(doubled.values, first)
    return doubled, np.repeat(marks, times)


def _negate(values: dict[str, Array], places: Array) -> None:
    """Turn charges into their reversals: negative amounts, disputed payment."""
    if len(places):
        for name in MONEY:
            if name in values:
                values[name][places] *= -1
        values["payment_type"][places] = 4
