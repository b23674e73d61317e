"""What `write` says is in a file, counted again in the file with plain pandas."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nyc_taxi.local.samples import Expected, write
from nyc_taxi.local.samples.eras import csv_era, parquet_era
from nyc_taxi.local.samples.plan import MARK, Part, Plan, make_plan
from nyc_taxi.local.samples.trips import make_rows
from nyc_taxi.model.months import Month, Service

NAMES = {  # ours, and what the files call it, without case, spaces and underscores
    "pickup": [
        "tpeppickupdatetime",
        "lpeppickupdatetime",
        "trippickupdatetime",
        "pickupdatetime",
        "pickupdate",
    ],
    "dropoff": ["tpepdropoffdatetime", "lpepdropoffdatetime", "tripdropoffdatetime", "dropoffdatetime"],
    "vendor": ["vendorid", "vendorname"],
    "passengers": ["passengercount"],
    "distance": ["tripdistance", "tripmiles"],
    "rate": ["ratecodeid", "ratecode"],
    "flag": ["storeandfwdflag", "storeandforward"],
    "pu": ["pulocationid", "locationid"],
    "do": ["dolocationid"],
    "lon": ["pickuplongitude", "startlon"],
    "fare": ["fareamount", "fareamt"],
    "total": ["totalamount", "totalamt"],
}
FILES = [
    ("yellow", "2009-01", "csv"),
    ("yellow", "2010-02", "csv"),
    ("yellow", "2014-06", "csv"),
    ("yellow", "2016-12", "csv"),
    ("yellow", "2021-01", "csv.gz"),
    ("yellow", "2010-02", "parquet"),
    ("yellow", "2025-02", "parquet"),
    ("green", "2013-08", "csv"),
    ("green", "2020-05", "csv.gz"),
    ("green", "2022-01", "parquet"),
    ("fhv", "2015-02", "csv"),
    ("fhv", "2018-02", "csv"),
    ("fhv", "2020-02", "parquet"),
    ("fhvhv", "2019-02", "csv"),
    ("fhvhv", "2021-01", "csv"),
    ("fhvhv", "2025-01", "parquet"),
]


def read(path: Path) -> pd.DataFrame:
    """The file under our own short names; CSV by position of the header's names."""
    if path.suffix == ".parquet":
        frame = pd.read_parquet(path)
    else:
        names = pd.read_csv(path, nrows=0).columns
        lines = pd.read_csv(path, header=None, skiprows=1, dtype=str, skip_blank_lines=True)
        frame = lines.set_axis([*names, *lines.columns[len(names) :]], axis=1)
    columns = {
        ours: column
        for column in frame.columns
        for ours, theirs in NAMES.items()
        if str(column).strip().lower().replace("_", "") in theirs
    }
    frame = frame.rename(columns={column: ours for ours, column in columns.items()})
    for name in ("passengers", "distance", "rate", "pu", "do", "lon", "fare", "total"):
        if name in frame:
            frame[name] = pd.to_numeric(frame[name])
    for name in ("pickup", "dropoff"):
        if name in frame:
            frame[name] = pd.to_datetime(frame[name]).dt.tz_localize(None)
    return frame


def count(path: Path, month: Month) -> dict[str, int]:
    """All that an Expected has, found in the file."""
    frame = read(path)
    nothing = pd.Series(np.nan, frame.index)

    def column(name: str) -> pd.Series:
        return frame.get(name, nothing)

    details = ["passengers", "rate", "flag"]
    has_details = "passengers" in frame and frame["passengers"].isna().any()
    negative = column("total") < 0
    pairs = 0
    if negative.any():
        same = [
            name for name in ("vendor", "pickup", "dropoff", "pu", "do", "lon", "distance") if name in frame
        ]
        first, second = frame[negative], frame[~negative]
        joined = first.merge(second, on=same, suffixes=("_taken", "_charged"))
        opposite = (joined["total_taken"] == -joined["total_charged"]) & (
            joined["fare_taken"] == -joined["fare_charged"]
        )
        pairs = int(opposite.sum())
        assert (column("fare") < 0).sum() == negative.sum()
    outside = (frame["pickup"] < month.start) | (frame["pickup"] >= month.end)
    dropoff = frame["dropoff"] if "dropoff" in frame else pd.Series(pd.NaT, frame.index)
    return {
        "rows": len(frame),
        "null_block": int(frame[details].isna().all(axis=1).sum()) if has_details else 0,
        "outside_month": int(outside.sum()),
        "dropoff_before_pickup": int((dropoff < frame["pickup"]).sum()),
        "exact_duplicate": int(frame.duplicated().sum()),
        "reversal_pairs": pairs,
        "negative_total": int(negative.sum()),
        "no_passengers": int((column("passengers") == 0).sum()),
        "many_passengers": int((column("passengers") > 6).sum()),
        "unknown_rate_code": int((column("rate") == 99).sum()),
        "no_distance": int((column("distance") <= 0).sum()),
        "absurd_distance": int((column("distance") > 300).sum()),
        "stored_and_forwarded": int(column("flag").isin(["Y", "1", 1.0]).sum()),
        "unknown_zone": int((column("pu").ge(264) | column("do").ge(264)).sum()),
        "zero_coordinates": int((column("lon") == 0).sum()),
        "unreadable": 0,
    }


@pytest.mark.parametrize(("service", "month", "ending"), FILES)
def test_the_file_holds_what_was_said(service: str, month: str, ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"x.{ending}"
    expected = write(Service(service), Month.parse(month), path, rows=12_000, seed=5)
    assert count(path, Month.parse(month)) == dataclasses.asdict(expected)


def test_yellow_of_2021_has_every_quirk_of_its_time() -> None:
    counts = make_plan(
        Service.YELLOW, Month(2021, 1), csv_era(Service.YELLOW, Month(2021, 1)), 40_000, 1, True, 0
    )
    assert {name for name, number in counts.quirks.items() if not number} == {
        "zero_coordinates",
        "unreadable",
    }
    assert counts.null_block > 0


@pytest.mark.parametrize(("service", "month", "ending"), [FILES[0], FILES[6], FILES[8], FILES[11], FILES[15]])
def test_without_quirks_nothing_is_wrong(service: str, month: str, ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"x.{ending}"
    expected = write(Service(service), Month.parse(month), path, rows=5000, quirks=False)
    assert expected == Expected(5000, *[0] * 15)
    assert count(path, Month.parse(month)) == dataclasses.asdict(expected)


@pytest.mark.parametrize("rows", [1, 2, 99, 100, 101, 399])
def test_small_files_are_exact_too(rows: int, tmp_path: Path) -> None:
    for service, month in (("green", "2020-05"), ("fhv", "2015-02")):
        path = tmp_path / "x.csv"
        expected = write(Service(service), Month.parse(month), path, rows=rows)
        assert expected.rows == rows
        if rows > 2:  # one row tells pandas too little about times
            assert count(path, Month.parse(month)) == dataclasses.asdict(expected)


def test_malformed_rows_are_counted_and_change_no_other_count(tmp_path: Path) -> None:
    plain = write(Service.YELLOW, Month(2021, 1), tmp_path / "x.csv", rows=5000)
    spoilt = write(Service.YELLOW, Month(2021, 1), tmp_path / "y.csv", rows=5000, malformed=9)
    assert spoilt == dataclasses.replace(plain, unreadable=9)


def test_strays_are_before_and_after_the_month_and_far_away(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    write(Service.GREEN, Month(2020, 3), path, rows=60_000)
    pickup = read(path)["pickup"]
    outside = pickup[(pickup < "2020-03-01") | (pickup >= "2020-04-01")]
    assert outside.is_unique
    days = {str(day) for day in outside.dt.date}
    assert days == {"2020-02-29", "2020-04-01", "2009-01-01", "2008-12-31", "2041-11-15"}


def test_quirks_are_all_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    write(Service.YELLOW, Month(2019, 3), path, rows=12_000)
    frame = read(path)
    for odd in (frame["passengers"] == 0, frame["distance"] == 0, frame["total"] < 0, frame["flag"] == "Y"):
        places = np.flatnonzero(odd)
        assert places[0] < 2000
        assert places[-1] > 10_000


def test_reversals_stand_side_by_side_the_negative_one_first(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    write(Service.GREEN, Month(2020, 3), path, rows=12_000)
    frame = read(path)
    after = frame["total"].shift(-1)
    taken = (frame["total"] < 0) & (frame["total"] == -after) & (frame["pickup"] == frame["pickup"].shift(-1))
    assert taken.sum() == 36
    assert set(frame["payment_type"][taken]) == {"4"}
    assert set(frame["payment_type"].shift(-1)[taken]) == {"2"}


@pytest.mark.parametrize("null_block", [False, True])
@pytest.mark.parametrize(
    ("service", "key"), [("yellow", "dropoff_datetime"), ("fhv", "dispatching_base_num")]
)
def test_trips_of_a_crowded_hour_are_all_different(service: str, key: str, null_block: bool) -> None:
    """As in a file of fifty million rows: a hundred thousand trips in one hour."""
    month = Month(2015, 6)
    era = parquet_era(Service(service), month)
    moments, crowd = (60, 3000) if null_block else (3600, 100_000)
    part = Part(
        1,
        null_block,
        np.array([398_000]),
        np.array([crowd]),
        np.zeros(crowd, np.int8),
        -(-crowd // moments),
        0,
    )
    plan = Plan(Service(service), month, 1, crowd, 0, dict.fromkeys(MARK, 0))
    values = make_rows(part, plan, era)[0].values
    frame = pd.DataFrame({"pickup": values["pickup_datetime"], "key": values[key]})
    assert not frame.duplicated().any()
    assert (values["dropoff_datetime"] > values["pickup_datetime"]).all()
    whole_minutes = (values["dropoff_datetime"] - values["pickup_datetime"]) % 60 == 0
    assert whole_minutes.all() if null_block else not whole_minutes.any()
