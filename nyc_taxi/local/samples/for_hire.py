"""Columns of the for-hire services: bases, shared rides and, for high-volume services, amounts."""

from __future__ import annotations

import numpy as np

from nyc_taxi.local.samples.eras import as_of, data
from nyc_taxi.local.samples.plan import Array, Part, Plan
from nyc_taxi.local.samples.rows import Rows
from nyc_taxi.model.months import Month

BASES = 400
"""Number of fhv bases; a file with many simultaneous pick-ups uses more."""
BLACK_CAR_FUND, SALES_TAX = 0.03, 0.08875


def add_fhv(rows: Rows, part: Part, layer: Array, rng: np.random.Generator) -> None:
    """Add bases and shared rides; many locations are null."""
    count = len(rows)
    popular = np.minimum(rng.exponential(BASES / 6, count).astype(np.int64), BASES - 1)
    # simultaneous trips get different bases, as `_distinct` gives them different durations
    base = popular - popular % part.layers + layer
    names = np.array([f"B{7 * place + 1:05d}" for place in range(BASES + part.layers)])
    rows.values["dispatching_base_num"] = names[base]
    rows.values["affiliated_base_number"] = names[base]
    rows.values["shared_ride_flag"] = np.ones(count, np.int64)
    plain = part.marks == 0
    rows.set_null("affiliated_base_number", plain & (rng.random(count) < 0.05))
    rows.set_null("shared_ride_flag", rng.random(count) < 0.85)
    unknown = plain & (rng.random(count) < 0.35)
    rows.set_null("pickup_location_id", unknown)
    rows.set_null("dropoff_location_id", unknown & (rng.random(count) < 0.8))


def add_fhvhv(rows: Rows, plan: Plan, duration: Array, rng: np.random.Generator) -> None:
    """Add licence, bases, waiting times, flags, fares and driver pay."""
    values, count = rows.values, len(rows)
    licence, base = _licences(plan.month, rng, count)
    uber = licence == "HV0003"
    values["hvfhs_license_num"] = licence
    values["dispatching_base_num"] = base
    values["originating_base_num"] = base
    rows.set_null("originating_base_num", ~uber)
    on_scene = values["pickup_datetime"] - rng.integers(0, 150, count)
    values["on_scene_datetime"] = on_scene
    rows.set_null("on_scene_datetime", ~uber)
    values["request_datetime"] = on_scene - rng.integers(60, 600, count)
    values["trip_time"] = duration
    _pay(values, plan, duration, rng)
    _flags(rows, uber, rng)


def _licences(month: Month, rng: np.random.Generator, count: int) -> tuple[Array, Array]:
    known = data("city.yaml")["licences"]
    active = {
        name: item
        for name, item in known.items()
        if "until" not in item or month <= Month.parse(item["until"])
    }
    shares = np.array([item["share"] for item in active.values()])
    chosen = rng.choice(len(active), count, p=shares / shares.sum())
    base = np.empty(count, "<U6")
    for place, item in enumerate(active.values()):
        at_place = chosen == place
        base[at_place] = rng.choice(item["bases"], int(at_place.sum()))
    return np.array(list(active))[chosen], base


def _pay(values: dict[str, Array], plan: Plan, duration: Array, rng: np.random.Generator) -> None:
    city = data("city.yaml")
    tariff = as_of(city["tariffs"], plan.month)
    count = len(duration)
    ends = np.stack([values["pickup_location_id"], values["dropoff_location_id"]])
    manhattan = np.isin(ends, city["manhattan"]).any(axis=0)
    relief_zone = np.isin(ends, city["relief_zone"]).any(axis=0)
    fare = (255 + 1.55 * values["trip_distance"] + 35 * duration / 60) * rng.uniform(0.85, 1.5, count)
    fare = np.maximum(fare, 650).astype(np.int64)
    values["base_passenger_fare"] = fare
    values["tolls_amount"] = np.where(rng.random(count) < 0.09, tariff["toll"], 0)
    values["black_car_fund"] = (fare * BLACK_CAR_FUND).astype(np.int64)
    values["sales_tax"] = (fare * SALES_TAX).astype(np.int64)
    values["congestion_surcharge"] = np.where(manhattan, tariff["fhvhv_congestion"], 0)
    at_airport = np.isin(ends, list(city["airports"])).any(axis=0)
    values["airport_fee"] = np.where(at_airport, tariff["fhvhv_airport"], 0)
    values["cbd_congestion_fee"] = np.where(relief_zone, tariff["fhvhv_cbd"], 0)
    tip = rng.integers(1, 9, count) * 100
    values["tip_amount"] = np.where(rng.random(count) < 0.16, tip, 0)
    values["driver_pay"] = (fare * rng.uniform(0.68, 0.95, count)).astype(np.int64)


def _flags(rows: Rows, uber: Array, rng: np.random.Generator) -> None:
    values, count = rows.values, len(rows)
    requested = rng.random(count) < 0.02
    shared = requested & (rng.random(count) < 0.3)
    wheelchair = rng.random(count) < 0.002

    def yes(mask: Array) -> Array:
        return np.where(mask, "Y", "N")

    values["shared_request_flag"] = yes(requested)
    values["shared_match_flag"] = yes(shared)
    values["access_a_ride_flag"] = yes(np.zeros(count, bool))
    rows.set_null("access_a_ride_flag", uber)
    values["wav_request_flag"] = yes(wheelchair)
    values["wav_match_flag"] = yes(wheelchair | (rng.random(count) < 0.06))
    values["shared_ride_flag"] = np.ones(count, np.int64)
    rows.set_null("shared_ride_flag", ~shared)
