"""Month rules: which rows repeat or reverse each other. Times of GREEN_TRIP's rows are set equal here."""

from __future__ import annotations

import uuid
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from nyc_taxi.errors import NotTripData, RuleError, TaxiError
from nyc_taxi.model.months import Service
from nyc_taxi.transform import match
from nyc_taxi.transform.rule_checks import load_rules
from nyc_taxi.transform.rules import Rules
from tests.support.builders import GREEN_TRIP, cleaned, green_csv, project_rules

NINE = {"lpep_pickup_datetime": "2020-04-10 09:00:00"}
CHARGE = {**NINE, "fare_amount": "8", "total_amount": "9.8"}
REVERSAL = {**NINE, "fare_amount": "-8", "total_amount": "-9.8", "tip_amount": "0", "payment_type": "4"}

Matches = dict[int, tuple[list[str], int | None]]
"""By source row: the rules that match it, and the other half."""


def matches(folder: Path, rows: list[dict[str, str]], rules: Rules | None = None) -> Matches:
    rules = rules or project_rules(Service.GREEN)
    place = folder / uuid.uuid4().hex
    place.mkdir()
    clean = cleaned(green_csv(place / "green.csv", rows), place / "scratch", rules)
    matched = pq.read_table(clean.folder / "matches.parquet").to_pylist()
    assert [row["source_row"] for row in matched] == sorted(row["source_row"] for row in matched)
    named = {
        row["source_row"]: (
            rules.names(row["reasons"], "quarantine") + rules.names(row["flags"], "flag"),
            row["other_row"],
        )
        for row in matched
    }
    counted = Counter(name for names, _ in named.values() for name in names)
    assert counted["exact_duplicate"] == clean.quarantined.get("exact_duplicate", 0)
    assert counted["reversal"] == clean.flagged.get("reversal", 0)
    return named


DUPLICATE = (["exact_duplicate"], None)


def half(other: int) -> tuple[list[str], int]:
    return ["reversal"], other


def test_of_equal_rows_the_first_is_kept(tmp_path: Path) -> None:
    other = {**NINE, "tip_amount": "3"}
    assert matches(tmp_path, [NINE, other, NINE, {}, NINE, other]) == {
        3: DUPLICATE,
        5: DUPLICATE,
        6: DUPLICATE,
    }


def test_a_file_of_equal_rows_is_not_read_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(match, "MAX_EQUAL", 10)
    assert len(matches(tmp_path, [NINE] * 11)) == 10
    assert len(matches(tmp_path, [NINE] * 12 + [{}])) == 11, "a tenth of the rows differ"
    with pytest.raises(NotTripData, match=r"green\.csv: most of its rows are equal"):
        cleaned(green_csv(tmp_path / "green.csv", [NINE] * 40), tmp_path / "scratch")


def test_rows_that_differ_in_one_column_are_no_duplicates(tmp_path: Path) -> None:
    others = dict.fromkeys([*GREEN_TRIP, "new_column"], "3") | {
        "lpep_pickup_datetime": "2020-04-10 09:00:01",
        "lpep_dropoff_datetime": "2020-04-10 10:40:00",
        "store_and_fwd_flag": "Y",
    }
    changed = [{**NINE, column: cell} for column, cell in others.items()]
    assert matches(tmp_path, [NINE, *changed]) == {}
    # as often as not the difference is a null; two nulls are equal
    emptied = [
        {**NINE, column: ""} for column in others if "datetime" not in column and column != "new_column"
    ]
    already_empty = emptied.index({**NINE, "ehail_fee": ""})
    twice = matches(tmp_path, [NINE, *emptied, *emptied])
    assert twice == dict.fromkeys(
        [already_empty + 2, *range(len(emptied) + 2, 2 * len(emptied) + 2)], DUPLICATE
    )


def test_the_same_value_written_otherwise_is_a_duplicate(tmp_path: Path) -> None:
    rows = [{**NINE, "trip_distance": text} for text in ("0", "-0.0", ".00", "1", "1.0", "")]
    assert matches(tmp_path, rows) == {2: DUPLICATE, 3: DUPLICATE, 5: DUPLICATE}


def test_a_row_that_is_quarantined_already_matches_nothing(tmp_path: Path) -> None:
    stray = {"lpep_pickup_datetime": "2009-01-01 00:00:00"}
    assert matches(tmp_path, [stray, stray, {**stray, **REVERSAL, **stray}]) == {}


def test_a_charge_and_its_reversal_name_each_other(tmp_path: Path) -> None:
    assert matches(tmp_path, [CHARGE, {}, REVERSAL]) == {1: half(3), 3: half(1)}
    assert matches(tmp_path, [REVERSAL, CHARGE]) == {1: half(2), 2: half(1)}


def test_pairs_are_one_to_one_in_the_order_of_the_file(tmp_path: Path) -> None:
    charges = [{**CHARGE, "tip_amount": str(tip)} for tip in range(3)]
    reversals = [{**REVERSAL, "tip_amount": str(tip)} for tip in range(3)]
    assert matches(tmp_path, [*charges, *reversals[:2]]) == {1: half(4), 2: half(5), 4: half(1), 5: half(2)}
    assert matches(tmp_path, [reversals[0], charges[0], reversals[1]]) == {1: half(2), 2: half(1)}


def test_what_differs_in_more_than_the_sign_is_no_reversal(tmp_path: Path) -> None:
    changes = [
        {"lpep_pickup_datetime": "2020-04-10 09:00:01"},
        {"lpep_dropoff_datetime": "2020-04-10 09:31:00"},
        {"VendorID": "1"},
        {"VendorID": ""},
        {"PULocationID": "75"},
        {"DOLocationID": ""},
        {"trip_distance": "2.51"},
        {"fare_amount": "8"},
        {"fare_amount": "-8.01"},
        {"total_amount": "-9.81"},
        {"total_amount": ""},
    ]
    assert matches(tmp_path, [CHARGE, *({**REVERSAL, **change} for change in changes)]) == {}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"VendorID": "", "DOLocationID": ""}, {"VendorID": "", "DOLocationID": ""}),
        ({"fare_amount": ""}, {"fare_amount": ""}),
        ({"fare_amount": "0"}, {"fare_amount": "0"}),
        ({"fare_amount": "0"}, {"fare_amount": "-0.0"}),
        ({"trip_distance": "0"}, {"trip_distance": "-0.0"}),
        ({"fare_amount": "-8"}, {"fare_amount": "8"}),
        ({"total_amount": "0"}, {"total_amount": "0"}),
        ({"total_amount": ""}, {"total_amount": ""}),
    ],
    ids=str,
)
def test_nulls_and_zeros_are_equal_to_themselves(
    tmp_path: Path, one: dict[str, str], other: dict[str, str]
) -> None:
    assert matches(tmp_path, [{**CHARGE, **one}, {**REVERSAL, **other}]) == {1: half(2), 2: half(1)}


@pytest.mark.parametrize("nothing", ["0", "", "-0.0"])
def test_trips_without_a_charge_have_nothing_to_reverse(tmp_path: Path, nothing: str) -> None:
    free = {**NINE, "fare_amount": nothing, "total_amount": "0"}
    assert matches(tmp_path, [{**free, "tip_amount": "0"}, {**free, "tip_amount": "1"}]) == {}


def test_a_duplicate_is_no_half_of_a_pair(tmp_path: Path) -> None:
    """Or a trip would be linked with, and left out of sums for, a row that is not among the trips."""
    second = {**CHARGE, "tip_amount": "3"}
    assert matches(tmp_path, [CHARGE, second, REVERSAL, REVERSAL]) == {1: half(3), 3: half(1), 4: DUPLICATE}
    assert matches(tmp_path, [CHARGE, CHARGE, REVERSAL]) == {1: half(3), 2: DUPLICATE, 3: half(1)}


def test_rules_of_ones_own(tmp_path: Path) -> None:
    own: list[Mapping[str, Any]] = [
        {"name": "same_zone", "action": "flag", "why": "x", "repeats": ["PULocationID"]},
        {"name": "same_count", "action": "flag", "why": "x", "repeats": ["passenger_count"]},
    ]
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump({"rules": own}).replace("PULocationID", "pickup_location_id"))
    rows = [{"passenger_count": "0", "PULocationID": ""}, {"passenger_count": "0"}, {"PULocationID": ""}]
    assert matches(tmp_path, rows, load_rules(path, Service.GREEN)) == {
        2: (["same_count"], None),
        3: (["same_zone"], None),
    }


def test_no_month_rules(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text("rules: []")
    assert matches(tmp_path, [CHARGE, CHARGE, REVERSAL], load_rules(path, Service.GREEN)) == {}


@pytest.mark.parametrize(
    ("rule", "error", "message"),
    [
        ({"repeats": ["vendor_id"]}, RuleError, "'alike' finds most .*; add columns to it or disable it"),
        ({"repeats": ["all"], "action": "flag"}, RuleError, "'alike' finds most .*; disable it"),
        (
            {"reverses": {"same": ["vendor_id"], "negated": ["fare_amount"]}},
            RuleError,
            "'alike' finds most .*; add columns",
        ),
        ({"repeats": ["all"]}, NotTripData, "most of its rows are equal .*; use the file"),
    ],
    ids=str,
)
@pytest.mark.parametrize(("limit", "most"), [("MAX_SHARED", 2), ("MAX_PART_KEYS", 3)])
def test_too_many_rows_to_compare_are_the_fault_of_the_rule_unless_they_are_equal(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    rule: dict[str, Any],
    error: type[TaxiError],
    message: str,
    limit: str,
    most: int,
) -> None:
    monkeypatch.setattr(match, limit, most)
    path = tmp_path / "rules.yaml"
    path.write_text(
        yaml.safe_dump({"rules": [{"name": "alike", "action": "quarantine", "why": "x", **rule}]})
    )
    with pytest.raises(error, match=message):
        matches(tmp_path, [NINE] * 5, load_rules(path, Service.GREEN))


def mixed(count: int) -> list[dict[str, str]]:
    """Rows of which some repeat, some reverse and some do both."""
    kinds = (CHARGE, REVERSAL, {**CHARGE, "tip_amount": "9"}, {}, {**NINE, "VendorID": ""})
    return [
        {**kinds[(number * number) % 5], **({"PULocationID": str(number // 9)} if number % 7 else {})}
        for number in range(count)
    ]


def test_collisions_of_keys_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = matches(tmp_path, mixed(300))
    assert {names[0] for names, _ in expected.values()} == {"exact_duplicate", "reversal"}
    monkeypatch.setattr("nyc_taxi.transform.rules._hash_sql", lambda _: "7::UBIGINT")
    assert matches(tmp_path, mixed(300)) == expected


@pytest.mark.parametrize("part_keys", [1, 10, 299])
def test_the_keys_are_sorted_in_parts_of_any_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part_keys: int
) -> None:
    expected = matches(tmp_path, mixed(300))
    monkeypatch.setattr(match, "PART_KEYS", part_keys)
    monkeypatch.setattr(match, "_CHUNK_KEYS", 50)
    assert matches(tmp_path, mixed(300)) == expected


Cells = tuple[str, str, str, str]
AMOUNTS = ("8", "-8", "0", "")


def by_comparing_all(rows: list[Cells]) -> Matches:
    """The same in plain Python."""
    expected: Matches = {}
    sides: dict[tuple[Any, ...], dict[int, list[int]]] = defaultdict(lambda: {1: [], -1: []})
    for number, row in enumerate(rows, 1):
        if row in rows[: number - 1]:
            expected[number] = DUPLICATE
            continue
        total, fare = (None if cell == "" else float(cell) for cell in row[:2])
        charge = total or fare
        if charge:
            side = 1 if charge > 0 else -1
            amounts = [amount if amount is None else amount * side for amount in (total, fare)]
            sides[(*amounts, row[2])][side].append(number)
    for both in sides.values():
        for one, other in zip(both[1], both[-1], strict=False):
            expected |= {one: half(other), other: half(one)}
    return dict(sorted(expected.items()))


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from(AMOUNTS),
            st.sampled_from(AMOUNTS),
            st.sampled_from(("1", "")),
            st.sampled_from("12"),
        ),
        max_size=25,
    )
)
def test_what_is_found_is_what_comparing_all_rows_finds(tmp_path: Path, rows: list[Cells]) -> None:
    written = [
        {**NINE, "total_amount": total, "fare_amount": fare, "VendorID": vendor, "tip_amount": tip}
        for total, fare, vendor, tip in [*rows, ("1", "1", "1", "1")]
    ]
    assert matches(tmp_path, written) == by_comparing_all([*rows, ("1", "1", "1", "1")])


def test_rows_that_take_too_much_memory_to_compare_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(match, "_MEMORY_LIMIT", "2MB")
    rows = [{**NINE, "note": f"{number:0400}"} for number in range(5000)]
    with pytest.raises(NotTripData, match=r"green\.csv: too many wide rows are alike to compare them in 2MB"):
        matches(tmp_path, rows)


@pytest.mark.parametrize(
    "keys",
    [np.repeat(np.arange(1, 5462), 12), np.tile(np.arange(1, 6554), 10), np.repeat([7, 9], 32_768)],
    ids=["twelve in a row", "ten apart", "two keys"],
)
def test_equal_rows_of_a_batch_are_estimated(keys: np.ndarray) -> None:
    mixed = keys.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)  # hashes are spread like this
    equal = len(keys) - len(np.unique(keys))
    assert 0.8 * equal < match._estimate_equal(pa.array(mixed)) < 1.2 * equal
    assert match._estimate_equal(pa.array(np.unique(mixed))) == 0
