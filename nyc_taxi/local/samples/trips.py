"""The rows of a part: times, zones and distances, then the columns of each service, then the quirks.

No two trips share both pick-up and drop-off times, so the only duplicates and reversals are the planned
ones. (In fhv files without drop-off times, no two trips share both pick-up time and base.)
"""

from __future__ import annotations

import functools

import numpy as np

from nyc_taxi.local.samples import for_hire, taxi
from nyc_taxi.local.samples.eras import Era, data
from nyc_taxi.local.samples.plan import Array, Part, Plan
from nyc_taxi.local.samples.rows import Rows, add_pairs, change_values, move_in_time
from nyc_taxi.model.months import Service

MILES_PER_DEGREE = (69.0, 52.3)
"""Miles per degree of latitude and of longitude, in New York."""
DETOUR = 1.35
"""Miles driven per mile as the crow flies."""


def make_rows(part: Part, plan: Plan, era: Era) -> tuple[Rows, Array]:
    """Return a part's rows and their marks."""
    rng = plan.generator(part.number)
    pickup, layer = _moments(part, rng)
    zones = _zones(plan.service, rng, len(pickup))
    hour = pickup // 3600 % 24
    distance = _distance(plan.service, zones, rng)
    duration = _distinct(_duration(distance, hour, rng), layer, part)
    rows = Rows(
        {
            "pickup_datetime": pickup,
            "dropoff_datetime": pickup + duration,
            "pickup_location_id": zones[0],
            "dropoff_location_id": zones[1],
            "trip_distance": distance,
        }
    )
    if "pickup_longitude" in era.filled:
        rows.values |= _coordinates(plan.service, zones[0], distance, rng)
    move_in_time(rows, part, plan)
    if plan.service in (Service.YELLOW, Service.GREEN):
        taxi.add_columns(rows, part, plan, rng)
    elif plan.service is Service.FHV:
        for_hire.add_fhv(rows, part, layer, rng)
    else:
        for_hire.add_fhvhv(rows, plan, duration, rng)
    change_values(rows, part, rng)
    if part.null_block:
        for name in era.null_block:
            rows.set_null(name, np.ones(len(rows), bool))
    return add_pairs(rows, part.marks)


def _moments(part: Part, rng: np.random.Generator) -> tuple[Array, Array]:
    """Return each trip's pick-up time, and its layer: the number of earlier trips with the same time."""
    unit, moments = (60, 60) if part.null_block else (1, 3600)
    within, layers = [], []
    for count in part.counts:
        rounds = -(-int(count) // moments)
        shuffled = [rng.permutation(moments) for _ in range(rounds)]
        within.append(np.concatenate(shuffled)[:count] if rounds else np.empty(0, np.int64))
        layers.append(np.arange(count) // moments)
    pickup = np.repeat(part.hours, part.counts) * 3600 + np.concatenate(within) * unit
    return pickup, np.concatenate(layers)


def _distinct(duration: Array, layer: Array, part: Part) -> Array:
    """Adjust durations slightly, so that trips with the same pick-up time have different durations.

    Modulo the number of layers, a trip's duration is its layer. Durations of the null block are whole
    minutes and all others are not, so that the two never coincide.
    """
    unit = 60 if part.null_block else 1
    units = duration // unit
    units += layer - units % part.layers
    if part.null_block:
        units += part.layers * (units == 0)
    else:
        units += part.layers * (units % 60 == 0)
    return np.asarray(units * unit)


@functools.cache
def _popularity(service: Service) -> tuple[Array, Array]:
    """Return the zones and their shares of the trips."""
    zones = data("city.yaml")["zones"][service]
    order = [*zones["order"], *(zone for zone in range(263, 0, -1) if zone not in zones["order"])]
    place = np.arange(len(order))
    weights = np.exp(-place / zones["tail"]) / (place + zones["head"])
    return np.array(order, np.int16), weights / weights.sum()


def _zones(service: Service, rng: np.random.Generator, count: int) -> Array:
    """Return the pick-up zones and the drop-off zones, as two rows."""
    zones, shares = _popularity(service)
    return rng.choice(zones, (2, count), p=shares)


def _distance(service: Service, zones: Array, rng: np.random.Generator) -> Array:
    """Return distances in hundredths of a mile."""
    city = data("city.yaml")
    typical = city["distance"][service]
    miles = np.exp(rng.normal(np.log(typical["median"]), typical["spread"], zones.shape[1]))
    for zone, airport in city["airports"].items():
        ends_there = np.any(zones == zone, axis=0)
        away = rng.normal(airport["miles"], airport["miles"] / 6, int(ends_there.sum()))
        miles[ends_there] = away
    return np.asarray(np.clip(miles * 100, 10, 6000).astype(np.int32))


def _duration(distance: Array, hour: Array, rng: np.random.Generator) -> Array:
    """Return durations in seconds; long trips use faster roads."""
    miles = distance / 100
    speed = np.array(data("city.yaml")["speed"])[hour] * (1 + np.minimum(miles, 18) / 12)
    seconds = miles / speed * 3600 * np.exp(rng.normal(0, 0.25, len(miles))) + 75
    return np.asarray(seconds.astype(np.int64))


def _coordinates(
    service: Service, pickup_zone: Array, distance: Array, rng: np.random.Generator
) -> dict[str, Array]:
    """Return coordinates: pick-ups around centres and airports, drop-offs at the trip's distance."""
    city = data("city.yaml")
    centres = np.array(city["centres"][service])
    chosen = rng.choice(len(centres), len(distance), p=centres[:, 2] / centres[:, 2].sum())
    begin = centres[chosen, :2] + rng.normal(0, 0.005, (len(distance), 2))
    for zone, airport in city["airports"].items():
        at_airport = pickup_zone == zone
        begin[at_airport] = np.array(airport["at"]) + rng.normal(0, 0.001, (int(at_airport.sum()), 2))
    angle = rng.uniform(0, 2 * np.pi, len(distance))
    away = np.stack([np.cos(angle), np.sin(angle)], axis=1) * distance[:, None] / 100 / DETOUR
    end = begin + away / MILES_PER_DEGREE
    return {
        "pickup_latitude": begin[:, 0].round(6),
        "pickup_longitude": begin[:, 1].round(6),
        "dropoff_latitude": end[:, 0].round(6),
        "dropoff_longitude": end[:, 1].round(6),
    }
