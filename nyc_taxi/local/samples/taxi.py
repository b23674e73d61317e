"""Columns of yellow and green taxis: vendor, passengers, rates, fares and payment."""

from __future__ import annotations

import numpy as np

from nyc_taxi.local.samples.eras import as_of, data
from nyc_taxi.local.samples.plan import MARK, Array, Part, Plan
from nyc_taxi.local.samples.rows import Rows
from nyc_taxi.model.months import Month, Service

STANDARD, JFK, NEWARK, NEGOTIATED = 1, 2, 3, 5
FLEX, CARD, CASH, NO_CHARGE, DISPUTE = range(5)
CMT, VTS, DDS = 1, 2, 3
PASSENGERS = ((1, 2, 3, 4, 5, 6), (0.72, 0.15, 0.045, 0.02, 0.035, 0.03))
TIPS = ((0.0, 0.1, 0.15, 0.18, 0.2, 0.25, 0.3), (0.06, 0.06, 0.1, 0.1, 0.42, 0.16, 0.1))
"""Tips of passengers who pay by card, as shares of the fare, and their probabilities."""


def add_columns(rows: Rows, part: Part, plan: Plan, rng: np.random.Generator) -> None:
    """Add all columns of a taxi trip to its times, zones and distance."""
    values, count = rows.values, len(rows)
    tariff = as_of(data("city.yaml")["tariffs"], plan.month)
    values["vendor_id"] = _vendors(plan, rng, count)
    rounded = values["vendor_id"] == CMT  # whose meters report tenths of a mile
    values["trip_distance"] = np.where(
        rounded, np.maximum(values["trip_distance"] // 10, 1) * 10, values["trip_distance"]
    )
    values["passenger_count"] = rng.choice(PASSENGERS[0], count, p=PASSENGERS[1])
    values["rate_code_id"] = _rates(values, rng, count)
    values["store_and_fwd_flag"] = np.full(count, "N")
    if plan.month < Month(2015, 1) and plan.service is Service.YELLOW:  # only CMT reported the flag
        plain = part.marks != MARK["stored_and_forwarded"]
        rows.set_null("store_and_fwd_flag", (values["vendor_id"] != CMT) & plain)
    values["trip_type"] = np.where(values["rate_code_id"] == NEGOTIATED, 2, 1)
    values["payment_type"] = _payments(part, tariff["card"], rng, count)
    if part.null_block:
        values["payment_type"] = np.full(count, FLEX)
        _agreed_fares(values, tariff, plan.service, rng)
    else:
        _metered_fares(values, tariff, rng)
    _surcharges(values, tariff, plan)
    _tips_and_total(values, tariff, rng)


def _vendors(plan: Plan, rng: np.random.Generator, count: int) -> Array:
    shares = {CMT: 0.32, VTS: 0.68} if plan.service is Service.YELLOW else {CMT: 0.15, VTS: 0.85}
    if plan.month < Month(2011, 1):
        shares = {CMT: 0.45, VTS: 0.47, DDS: 0.08}
    elif plan.month >= Month(2025, 1) and plan.service is Service.YELLOW:
        shares = {CMT: 0.21, VTS: 0.775, 6: 0.005, 7: 0.01}
    return rng.choice(list(shares), count, p=list(shares.values()))


def _rates(values: dict[str, Array], rng: np.random.Generator, count: int) -> Array:
    manhattan = data("city.yaml")["manhattan"]
    ends = values["pickup_location_id"], values["dropoff_location_id"]
    flat = ((ends[0] == 132) & np.isin(ends[1], manhattan)) | ((ends[1] == 132) & np.isin(ends[0], manhattan))
    codes = np.where(flat & (rng.random(count) < 0.9), JFK, STANDARD)
    codes[ends[1] == 1] = NEWARK
    codes[rng.random(count) < 0.008] = NEGOTIATED
    return codes


def _payments(part: Part, card: float, rng: np.random.Generator, count: int) -> Array:
    payment = rng.choice([CARD, CASH, NO_CHARGE, DISPUTE], count, p=[card, 0.992 - card, 0.005, 0.003])
    # reversed trips are paid in cash: a reversal has no card tip
    payment[np.isin(part.marks, (MARK["reversal"], MARK["negative"]))] = CASH
    return payment


def _metered_fares(values: dict[str, Array], tariff: dict[str, int], rng: np.random.Generator) -> None:
    """Add metered fares: an initial charge plus units of distance and of slow traffic."""
    rate, count = values["rate_code_id"], len(values["rate_code_id"])
    minutes = np.abs(values["dropoff_datetime"] - values["pickup_datetime"]) / 60
    units = np.round(values["trip_distance"] / 20 + minutes / 4).astype(np.int64)
    fare = tariff["start"] + units * tariff["unit"]
    fare[rate == JFK] = tariff["jfk"]
    fare[rate == NEWARK] += tariff["newark"]
    agreed = rate == NEGOTIATED
    fare[agreed] = rng.integers(2, 25, int(agreed.sum())) * 500
    hour = values["pickup_datetime"] // 3600 % 24
    workday = (values["pickup_datetime"] // 86400 + 3) % 7 < 5  # 1970-01-01 was a Thursday
    extra = np.where((hour >= 20) | (hour < 6), tariff["night"], 0)
    extra[workday & (hour >= 16) & (hour < 20)] = tariff["rush"]
    extra[agreed] = 0
    values["fare_amount"] = fare
    values["extra"] = extra
    values["mta_tax"] = np.where(agreed | (rate == NEWARK), 0, tariff["mta"])
    values["tolls_amount"] = np.where(rng.random(count) < 0.01, tariff["toll"], 0)
    bridges = np.isin(values["pickup_location_id"], (132, 138)) & (rng.random(count) < 0.45)
    values["tolls_amount"][bridges] = tariff["toll"]


def _agreed_fares(
    values: dict[str, Array], tariff: dict[str, int], service: Service, rng: np.random.Generator
) -> None:
    """Add the fares of the null block, agreed before the trip to the cent."""
    miles, count = values["trip_distance"] / 100, len(values["trip_distance"])
    values["fare_amount"] = ((7 + 3.1 * miles) * rng.uniform(85, 125, count)).astype(np.int64)
    values["extra"] = np.zeros(count, np.int64)
    values["mta_tax"] = np.full(count, tariff["mta"] if service is Service.YELLOW else 0)
    values["tolls_amount"] = np.where(rng.random(count) < 0.08, tariff["toll"], 0)


def _surcharges(values: dict[str, Array], tariff: dict[str, int], plan: Plan) -> None:
    city = data("city.yaml")
    ends = np.stack([values["pickup_location_id"], values["dropoff_location_id"]])
    values["improvement_surcharge"] = np.full(ends.shape[1], tariff["improvement"])
    surcharge = tariff[f"{plan.service}_congestion"]
    values["congestion_surcharge"] = np.where(np.isin(ends, city["manhattan"]).any(axis=0), surcharge, 0)
    values["cbd_congestion_fee"] = np.where(np.isin(ends, city["relief_zone"]).any(axis=0), tariff["cbd"], 0)
    fee = tariff["airport"] if plan.service is Service.YELLOW else 0
    values["airport_fee"] = np.where(np.isin(ends[0], list(city["airports"])), fee, 0)


def _tips_and_total(values: dict[str, Array], tariff: dict[str, int], rng: np.random.Generator) -> None:
    parts = ("fare_amount", "extra", "mta_tax", "tolls_amount", "improvement_surcharge")
    surcharges = ("congestion_surcharge", "cbd_congestion_fee", "airport_fee")
    total = np.sum([values[name] for name in (*parts, *surcharges)], axis=0)
    tip = (total * rng.choice(TIPS[0], len(total), p=TIPS[1])).astype(np.int64)
    whole = rng.random(len(total)) < 0.3  # many tips are whole dollars
    tip[whole] = tip[whole] // 100 * 100
    values["tip_amount"] = np.where(values["payment_type"] == CARD, tip, 0)
    values["total_amount"] = total + values["tip_amount"]
    # CMT also includes the congestion surcharge in the extras
    twice = np.where(values["vendor_id"] == CMT, values["congestion_surcharge"], 0)
    values["extra"] = values["extra"] + twice
