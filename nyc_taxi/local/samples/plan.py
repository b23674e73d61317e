"""Which rows a sample has: how many an hour, and which of them are quirks.

All counts are settled here, before a row is made; what the file holds follows from them.
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
"""All quirks; a row's mark is its quirk's place here plus one, and 0 is a plain trip."""
TWINS = ("exact_duplicate", "reversal")
"""Quirks that take two rows of the file."""
MARK = {name: place for place, name in enumerate(QUIRKS, start=1)}
MAX_ROWS = 50_000_000
PART_ROWS = 65_536
"""Rows made and written at a time."""
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
    """How often each quirk occurs; a quirk of TWINS takes two rows each time."""

    @property
    def trips(self) -> int:
        """Trips before the null block; twins count once."""
        return self.rows - self.null_block - sum(self.quirks[name] for name in TWINS)

    def generator(self, number: int) -> np.random.Generator:
        """Random numbers of one part, the same in every run."""
        service = list(Service).index(self.service)
        return np.random.default_rng([self.seed, service, self.month.year, self.month.number, number])


@dataclass(frozen=True)
class Part:
    """Some consecutive hours of a file."""

    number: int
    null_block: bool
    hours: Array
    """Hours since 1970, each with `counts` trips."""
    counts: Array
    marks: Array
    """One a trip."""
    layers: int
    """How many trips the fullest hour of the file may have at the same moment."""
    strays_before: int
    """Trips outside the month in earlier parts."""


def make_plan(
    service: Service, month: Month, era: Era, rows: int | None, seed: int, quirks: bool, malformed: int
) -> Plan:
    """Settle every count; raises SettingsError when they make no sense."""
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
    """The file's rows in order: the month hour by hour, then the null block hour by hour."""
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
        for first, last in _groups(counts, target):
            number += 1
            size = int(counts[first:last].sum())
            own = np.zeros(size, np.int8) if null_block else marks[done : done + size]
            hours = np.arange(first, last) + _hour(plan.month.start)
            yield Part(number, null_block, hours, counts[first:last], own, layers, strays)
            done += size
            strays += int(np.count_nonzero(own == MARK["outside_month"]))


def _groups(counts: Array, target: int) -> Iterator[tuple[int, int]]:
    """Runs of whole hours with about `target` trips."""
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
    """Each hour's share of the month's trips."""
    rhythm = data("city.yaml")["rhythm"]
    curves = np.array([rhythm["weekday"]] * 5 + [rhythm["weekend"]] * 2, float)
    curves *= np.array(rhythm["days"])[:, None]
    days = (plan.month.end - plan.month.start).days
    weekdays = (plan.month.start.weekday() + np.arange(days)) % 7
    shares = (curves[weekdays] * rng.normal(1, 0.04, days)[:, None]).ravel()
    return np.asarray(shares / shares.sum())


def _marks(plan: Plan, rng: np.random.Generator) -> Array:
    """Every trip's mark: the quirks spread evenly over the file, in random order."""
    labels = np.repeat(np.arange(1, len(QUIRKS) + 1), list(plan.quirks.values()))
    bounds = np.arange(len(labels) + 1) * plan.trips // max(len(labels), 1)
    marks = np.zeros(plan.trips, np.int8)
    marks[rng.integers(bounds[:-1], bounds[1:])] = rng.permutation(labels)
    return marks
