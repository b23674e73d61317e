"""The plan of a sample: rows per hour, and which of them have quirks.

The plan fixes all counts before any row is generated.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nyc_taxi.errors import SettingsError
from nyc_taxi.local.samples.eras import Era, as_of, data
from nyc_taxi.model.months import Month, Service

Array = npt.NDArray[Any]

UNREADABLE = "unreadable"
QUIRKS = (*data("city.yaml")["quirks"], UNREADABLE)
"""All quirks; a row's mark is the index of its quirk plus one, and 0 for a plain trip."""
PAIRED_QUIRKS = ("exact_duplicate", "reversal")
"""Quirks that consist of two rows."""
MARK = {name: place for place, name in enumerate(QUIRKS, start=1)}
MAX_ROWS = 50_000_000
PART_ROWS = 65_536
"""Rows generated and written at a time."""
MIN_PARTS = 4


@dataclass(frozen=True)
class Plan:
    """The rows of one file."""

    service: Service
    month: Month
    seed: int
    rows: int
    null_block: int
    quirks: dict[str, int]
    """Occurrences of each quirk; those of PAIRED_QUIRKS take two rows each."""

    @property
    def trips(self) -> int:
        """Trips before the null block; pairs count once."""
        return self.rows - self.null_block - sum(self.quirks[name] for name in PAIRED_QUIRKS)

    def generator(self, number: int) -> np.random.Generator:
        """Return the reproducible random generator of one part."""
        service = list(Service).index(self.service)
        return np.random.default_rng([self.seed, service, self.month.year, self.month.number, number])


@dataclass(frozen=True)
class Part:
    """Consecutive hours of a file."""

    number: int
    null_block: bool
    hours: Array
    """Hours since 1970; `counts` holds the trips of each."""
    counts: Array
    marks: Array
    """One a trip."""
    layers: int
    """Maximum number of trips in the file that share a pick-up time."""
    strays_before: int
    """Trips outside the month in earlier parts."""


def make_plan(
    service: Service, month: Month, era: Era, rows: int | None, seed: int, quirks: bool, malformed: int
) -> Plan:
    """Fix all counts; raises SettingsError for invalid arguments."""
    city = data("city.yaml")
    rows = city["default_rows"][service] if rows is None else rows
    if not 1 <= rows <= MAX_ROWS:
        raise SettingsError(f"rows={rows} is not valid: use 1 to {MAX_ROWS:,}.")
    if seed < 0:
        raise SettingsError(f"seed={seed} is negative: use 0 or more.")
    if not 0 <= malformed <= rows // 2:
        raise SettingsError(f"malformed={malformed} of {rows} rows is not possible: use 0 to {rows // 2}.")
    counts = dict.fromkeys(QUIRKS, 0)
    null_block = 0
    if quirks:
        for name, quirk in city["quirks"].items():
            if era.filled.issuperset(quirk["needs"]):
                count = max(round(rows * quirk["share"]), city["least"])
                counts[name] = min(count, rows // 50)
        share = as_of(city["null_block"].get(service, []), month).get("share", 0)
        null_block = min(round(rows * share), rows // 2 - malformed)
    counts[UNREADABLE] = malformed
    return Plan(service, month, seed, rows, null_block, counts)


def parts(plan: Plan) -> Iterator[Part]:
    """Yield the parts of the file in order: the month hour by hour, then the null block hour by hour."""
    rng = plan.generator(0)
    hourly = _hourly(plan, rng)
    marks = _marks(plan, rng)
    target = min(PART_ROWS, -(-plan.rows // MIN_PARTS))
    number = 0
    for null_block, trips in ((False, plan.trips), (True, plan.null_block)):
        counts = rng.multinomial(trips, hourly)
        moments = 60 if null_block else 3600  # times in the null block are whole minutes
        layers = -(-int(counts.max()) // moments) or 1
        done = strays = 0
        for first, last in _hour_ranges(counts, target):
            number += 1
            size = int(counts[first:last].sum())
            own = np.zeros(size, np.int8) if null_block else marks[done : done + size]
            hours = np.arange(first, last) + _hour(plan.month.start)
            yield Part(number, null_block, hours, counts[first:last], own, layers, strays)
            done += size
            strays += int(np.count_nonzero(own == MARK["outside_month"]))


def _hour_ranges(counts: Array, target: int) -> Iterator[tuple[int, int]]:
    """Yield ranges of whole hours with about `target` trips each."""
    first, held = 0, 0
    for hour, count in enumerate(counts, start=1):
        held += int(count)
        if held >= target:
            yield first, hour
            first, held = hour, 0
    if held:
        yield first, len(counts)


def _hour(moment: dt.datetime) -> int:
    return int((moment - dt.datetime(1970, 1, 1)).total_seconds()) // 3600


def _hourly(plan: Plan, rng: np.random.Generator) -> Array:
    """Return each hour's share of the month's trips."""
    rhythm = data("city.yaml")["rhythm"]
    curves = np.array([rhythm["weekday"]] * 5 + [rhythm["weekend"]] * 2, float)
    curves *= np.array(rhythm["days"])[:, None]
    days = (plan.month.end - plan.month.start).days
    weekdays = (plan.month.start.weekday() + np.arange(days)) % 7
    shares = (curves[weekdays] * rng.normal(1, 0.04, days)[:, None]).ravel()
    return np.asarray(shares / shares.sum())


def _marks(plan: Plan, rng: np.random.Generator) -> Array:
    """Return the mark of every trip, with the quirks spread evenly over the file in random order."""
    labels = np.repeat(np.arange(1, len(QUIRKS) + 1), list(plan.quirks.values()))
    bounds = np.arange(len(labels) + 1) * plan.trips // max(len(labels), 1)
    marks = np.zeros(plan.trips, np.int8)
    marks[rng.integers(bounds[:-1], bounds[1:])] = rng.permutation(labels)
    return marks
