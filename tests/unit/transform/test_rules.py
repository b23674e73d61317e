import datetime as dt
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
import yaml

from nyc_taxi.errors import RuleError
from nyc_taxi.model.months import Month, Service
from nyc_taxi.schema import service_columns
from nyc_taxi.schema.arrow import arrow_schema
from nyc_taxi.transform.rule_checks import load_rules
from nyc_taxi.transform.rules import MAX_RULES, Rules
from tests.support.builders import RULES

APRIL = Month(2020, 4)
TEN = dt.datetime(2020, 4, 10, 10)
TRIP: dict[str, Any] = {
    "vendor_id": 2,
    "pickup_datetime": TEN,
    "dropoff_datetime": TEN + dt.timedelta(minutes=20),
    "passenger_count": 1,
    "trip_distance": 2.5,
    "rate_code_id": 1,
    "store_and_fwd_flag": "N",
    "pickup_location_id": 74,
    "dropoff_location_id": 166,
    "payment_type": 1,
    "fare_amount": 8.0,
    "total_amount": 9.8,
}


def verdicts(rules: Rules, rows: list[dict[str, Any]], month: Month = APRIL) -> list[set[str]]:
    """The names of the row rules that match each row."""
    batch = pa.Table.from_pylist(rows, arrow_schema(service_columns(rules.service)))
    with duckdb.connect() as connection:
        connection.register("batch", batch)
        verdict_rows = connection.execute(
            f"SELECT _reasons, _flags FROM ({rules.verdict_sql(month)})"
        ).fetchall()
    return [
        {*rules.names(reasons, "quarantine"), *rules.names(flags, "flag")} for reasons, flags in verdict_rows
    ]


MATCHING: dict[str, list[dict[str, Any]]] = {
    "missing_pickup_time": [{"pickup_datetime": None}],
    "missing_dropoff_time": [{"dropoff_datetime": None}],
    "outside_month": [
        {"pickup_datetime": dt.datetime(2020, 3, 31, 23, 59, 59, 999_999)},
        {"pickup_datetime": dt.datetime(2020, 5, 1), "dropoff_datetime": dt.datetime(2020, 5, 1)},
        {"pickup_datetime": dt.datetime(2008, 12, 31, 12)},
        {"pickup_datetime": dt.datetime(2041, 1, 1), "dropoff_datetime": dt.datetime(2041, 1, 2)},
    ],
    "dropoff_before_pickup": [{"dropoff_datetime": TEN - dt.timedelta(microseconds=1)}],
    "clock_change": [
        {
            "pickup_datetime": dt.datetime(2025, 11, 2, 1, 58, 21),
            "dropoff_datetime": dt.datetime(2025, 11, 2, 1, 9, 31),
        }
    ],
    "minute_is_month": [
        {"pickup_datetime": TEN.replace(minute=4, second=38), "dropoff_datetime": TEN.replace(minute=4)},
        {
            "vendor_id": 6,
            "pickup_datetime": TEN.replace(minute=4),
            "dropoff_datetime": TEN.replace(hour=11, minute=4),
        },
    ],
    "day_long": [
        {"dropoff_datetime": TEN + dt.timedelta(hours=23)},
        {"dropoff_datetime": TEN + dt.timedelta(hours=23, minutes=59, seconds=59)},
    ],
    "null_block": [{"passenger_count": None, "rate_code_id": None, "store_and_fwd_flag": None}],
    "no_passengers": [{"passenger_count": 0}],
    "many_passengers": [{"passenger_count": 7}, {"passenger_count": 96}],
    "no_distance": [{"trip_distance": 0.0}, {"trip_distance": -0.0}, {"trip_distance": -3.1}],
    "absurd_distance": [{"trip_distance": 300.01}, {"trip_distance": 141_875.0}],
    "negative_fare": [{"fare_amount": -0.01}],
    "negative_total": [{"total_amount": -52.0}],
    "unknown_rate_code": [{"rate_code_id": 99}, {"rate_code_id": 0}, {"rate_code_id": 7}],
    "unknown_payment_type": [{"payment_type": 7}, {"payment_type": -1}],
    "unknown_vendor": [{"vendor_id": 4}, {"vendor_id": 5}, {"vendor_id": 0}],
    "unknown_zone": [
        {"pickup_location_id": 264},
        {"dropoff_location_id": 265},
        {"pickup_location_id": 0},
        {"pickup_location_id": None, "dropoff_location_id": 264},
    ],
}
"""Changes of TRIP that a rule is for."""

NOT_MATCHING: dict[str, list[dict[str, Any]]] = {
    "outside_month": [
        {"pickup_datetime": dt.datetime(2020, 4, 1)},
        {
            "pickup_datetime": dt.datetime(2020, 4, 30, 23, 59, 59, 999_999),
            "dropoff_datetime": dt.datetime(2020, 5, 1, 9),
        },
    ],
    "dropoff_before_pickup": [{"dropoff_datetime": TEN}],
    "minute_is_month": [
        {"pickup_datetime": TEN.replace(minute=4), "dropoff_datetime": TEN.replace(hour=11, minute=4)},
        {"vendor_id": 6, "dropoff_datetime": TEN.replace(hour=11, minute=4)},
    ],
    "day_long": [
        {"dropoff_datetime": TEN + dt.timedelta(hours=22, minutes=59, seconds=59)},
        {"dropoff_datetime": TEN + dt.timedelta(hours=24)},
    ],
    "null_block": [{"passenger_count": None, "rate_code_id": None}, {"store_and_fwd_flag": None}],
    "many_passengers": [{"passenger_count": 6}],
    "absurd_distance": [{"trip_distance": 300.0}],
    "no_distance": [{"trip_distance": 0.01}],
    "negative_fare": [{"fare_amount": 0.0}, {"fare_amount": -0.0}],
    "unknown_rate_code": [{"rate_code_id": code} for code in (1, 2, 3, 4, 5, 6)],
    "unknown_payment_type": [{"payment_type": code} for code in (0, 1, 2, 3, 4, 5, 6)],
    "unknown_vendor": [{"vendor_id": code} for code in (1, 2, 3, 6, 7)],
    "unknown_zone": [{"pickup_location_id": 1, "dropoff_location_id": 263}],
}
"""Changes of TRIP at the edge of a rule, which neither it nor another one here is for."""


@pytest.mark.parametrize("service", Service)
def test_each_rule_matches_what_it_is_for_and_nothing_else_does(service: Service) -> None:
    rules = load_rules(RULES, service)
    mine = {rule.name for rule in rules.rules if rule.when}
    names = {column.name for column in service_columns(service)}
    plain = {name: value for name, value in TRIP.items() if name in names}
    examples = {rule.name: list(rule.examples) for rule in rules.rules if rule.examples}
    cases = [
        (name if name in mine else None, {**plain, **change})
        for name, changes in (MATCHING | examples).items()
        for change in changes
        if change.keys() <= names
    ]
    edges = [
        (name, {**plain, **change})
        for name, changes in NOT_MATCHING.items()
        for change in changes
        if change.keys() <= names
    ]
    results = verdicts(rules, [plain, *(row for _, row in (*cases, *edges))])
    assert results.pop(0) == set()
    assert mine == {name for name, _ in cases} - {None}
    for name, row in cases:
        matching = results.pop(0)
        assert matching <= mine
        assert name is None or name in matching, row
    for (name, row), matching in zip(edges, results, strict=True):
        assert matching <= set(examples) - {name}, row


def test_every_rule_that_looks_at_a_row_is_tested_here() -> None:
    rules = [rule for service in Service for rule in load_rules(RULES, service).rules if rule.when]
    untested = {rule.name for rule in rules if not rule.examples} - set(MATCHING)
    assert not untested, f"give {untested} `examples` in {RULES}"
    assert set(MATCHING) <= {rule.name for rule in rules}


def test_nulls_match_nothing_but_the_rules_for_them() -> None:
    rules = load_rules(RULES, Service.GREEN)
    assert verdicts(rules, [dict.fromkeys(TRIP)]) == [
        {"missing_pickup_time", "missing_dropoff_time", "null_block"}
    ]
    nothing_but_times = {"pickup_datetime": TEN, "dropoff_datetime": TEN}
    assert verdicts(rules, [nothing_but_times]) == [{"null_block"}]


def test_a_row_may_match_many_rules() -> None:
    rules = load_rules(RULES, Service.GREEN)
    row = {**TRIP, "dropoff_datetime": None, "pickup_datetime": dt.datetime(2041, 1, 1), "fare_amount": -1.0}
    assert verdicts(rules, [row]) == [{"missing_dropoff_time", "outside_month", "negative_fare"}]


@pytest.mark.parametrize(
    ("pickup", "dropoff", "explained"),
    [
        ("2025-11-02 01:58:21", "2025-11-02 01:09:31", True),
        ("2025-11-02 01:58:21", "2025-11-02 00:59:59", False),  # before the hour that comes twice
        ("2025-11-02 02:08:21", "2025-11-02 01:19:31", False),  # begins after it
        ("2025-11-09 01:58:21", "2025-11-09 01:09:31", False),  # the second Sunday
        ("2025-11-01 01:58:21", "2025-11-01 01:09:31", False),  # a Saturday
        ("2025-11-02 09:11:38", "2025-11-02 09:11:24", True),  # minute 11, the month
        ("2025-11-02 09:11:38", "2025-11-02 08:11:24", False),
        ("2025-11-02 09:11:38", "2025-11-02 09:10:24", False),
    ],
)
def test_an_end_before_the_beginning_is_no_trip_unless_it_is_explained(
    pickup: str, dropoff: str, explained: bool
) -> None:
    rules = load_rules(RULES, Service.GREEN)
    times = {
        "pickup_datetime": dt.datetime.fromisoformat(pickup),
        "dropoff_datetime": dt.datetime.fromisoformat(dropoff),
    }
    [matching] = verdicts(rules, [{**TRIP, **times}], Month(2025, 11))
    assert ("dropoff_before_pickup" in matching) is not explained
    assert bool(matching & {"clock_change", "minute_is_month"}) is explained


def test_unless_names_rules_with_a_condition(tmp_path: Path) -> None:
    flag = {"name": "far", "action": "flag", "when": "trip_distance > 9", "why": "It is far."}
    short = {
        "name": "all",
        "action": "quarantine",
        "when": "trip_distance > 1",
        "why": "x",
        "unless": ["far"],
    }
    rules = load_rules(written(tmp_path / "rules.yaml", short, flag), Service.GREEN)
    distances = [{**TRIP, "trip_distance": miles} for miles in (1.0, 5.0, 10.0)]
    assert verdicts(rules, distances) == [set(), {"all"}, {"far"}]
    with pytest.raises(RuleError, match="rule 'all': unless names 'far', not a rule with a condition"):
        load_rules(written(tmp_path / "broken.yaml", short), Service.GREEN)
    repeats = {"name": "again", "action": "flag", "repeats": ["all"], "why": "x", "unless": ["far"]}
    with pytest.raises(RuleError, match="unless requires when"):
        load_rules(written(tmp_path / "worse.yaml", repeats, flag), Service.GREEN)


def test_a_rule_without_unless_keeps_its_fingerprint(tmp_path: Path) -> None:
    rule = {"name": "far", "action": "flag", "when": "trip_distance > 9", "why": "It is far."}
    plain = load_rules(written(tmp_path / "one.yaml", rule), Service.GREEN)
    empty = load_rules(written(tmp_path / "two.yaml", {**rule, "unless": []}), Service.GREEN)
    near = {**rule, "name": "near", "unless": ["far"]}
    assert plain.fingerprint == empty.fingerprint
    assert (
        load_rules(written(tmp_path / "three.yaml", rule, near), Service.GREEN).fingerprint
        != load_rules(
            written(tmp_path / "four.yaml", rule, {**near, "unless": []}), Service.GREEN
        ).fingerprint
    )


def written(path: Path, *rules: dict[str, Any]) -> Path:
    path.write_text(yaml.safe_dump({"rules": list(rules)}))
    return path


RULE = {"name": "long", "action": "flag", "why": "Long.", "when": "trip_distance > 50"}


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (
            {**RULE, "when": "trip_distance >"},
            "rule 'long' does not compile: 'trip_distance >': .* at its end",
        ),
        ({**RULE, "when": "trip_distance > 5; DROP TABLE x"}, "rule 'long' does not compile"),
        (
            {**RULE, "when": "trip_distance > 5 -- far"},
            "rule 'long' does not compile for green: Parser Error",
        ),
        (
            {**RULE, "when": "nope > 1"},
            "rule 'long' does not compile for green: .*Referenced column \"nope\"",
        ),
        ({**RULE, "when": "1 < 2"}, "rule 'long' names no column, so it would match every row or none"),
        ({**RULE, "when": "'\"COLUMN_REF\"' = ''"}, "rule 'long' names no column"),
        ({**RULE, "when": "passenger_count"}, "rule 'long' is a value of type SMALLINT, not a condition"),
        ({**RULE, "when": "true, fare_amount < 0"}, "rule 'long' "),
        ({**RULE, "when": "sum(fare_amount) > 5"}, "rule 'long' does not compile .* aggregates"),
        (
            {**RULE, "when": "row_number() OVER (ORDER BY fare_amount) > 1"},
            "rule 'long' does not compile .* window",
        ),
        (
            {**RULE, "when": "fare_amount > (SELECT avg(fare_amount) FROM batch)"},
            "rule 'long' has a subquery",
        ),
        ({**RULE, "except": "x"}, "rule 'long': except is not known; use name, action"),
        (
            {**RULE, "when": None, "reverses": {"like": [], "same": ["x"], "negated": ["y"]}},
            "rule 'long': reverses.like is not known; use same, negated",
        ),
        ({**RULE, "action": "drop"}, "rule 'long': action: .* 'quarantine' or 'flag'"),
        ({**RULE, "services": ["uber"]}, "rule 'long': services.0: .* 'yellow', 'green', "),
        ({**RULE, "name": "Long Trip"}, "rule 'Long Trip': name: .* pattern"),
        ({**RULE, "why": ""}, "rule 'long': why: "),
        ({**RULE, "repeats": ["all"]}, "rule 'long': .*exactly one of when, repeats and reverses"),
        ({key: RULE[key] for key in ("name", "action", "why")}, "rule 'long': .*exactly one of when"),
        (
            {**RULE, "when": None, "repeats": ["nope"]},
            "rule 'long' names the column 'nope', which green does not have",
        ),
        (
            {**RULE, "when": None, "reverses": {"same": ["vendor_id"], "negated": ["tips"]}},
            "rule 'long' names the column 'tips', which green does not have",
        ),
        (
            {**RULE, "when": None, "reverses": {"same": ["vendor_id"], "negated": ["store_and_fwd_flag"]}},
            "rule 'long' does not compile for green",
        ),
        (
            {**RULE, "when": None, "reverses": {"same": [], "negated": ["fare_amount"]}},
            "rule 'long': reverses.same: ",
        ),
        ({**RULE, "name": "unreadable"}, "a rule is called 'unreadable'"),
        (["a list"], "rule .*valid dictionary"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_by_name(tmp_path: Path, rule: Any, message: str) -> None:
    path = written(tmp_path / "rules.yaml", rule)
    with pytest.raises(RuleError, match=rf"^{path}: {message}") as caught:
        load_rules(path, Service.GREEN)
    assert "\n" not in str(caught.value)


def test_two_rules_of_one_name_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "rules.yaml", RULE, {**RULE, "services": ["fhvhv"]})
    with pytest.raises(RuleError, match="two rules are called 'long'; give each its own name"):
        load_rules(path, Service.GREEN)


@pytest.mark.parametrize("text", ["", "rules:\n", "rules: 5\n", "- name: a\n", "rules: {a: 1}\n"])
def test_a_file_without_a_list_of_rules_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(text)
    with pytest.raises(RuleError, match=rf"^{path}: has no list called rules"):
        load_rules(path, Service.GREEN)


BOMB = b"a0: &a0 [x, x, x]\n" + b"".join(
    b"a%d: &a%d [*a%d, *a%d, *a%d]\n" % (n, n, n - 1, n - 1, n - 1) for n in range(1, 30)
)
"""Lists of lists, which have 10^14 entries if they are written out."""
BOMB += b"rules: *a29\n"


@pytest.mark.parametrize("content", [b"rules: [", b"\xff\xff", b"a: b: c", b"[" * 5000, BOMB])
def test_a_file_that_is_no_yaml_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "rules.yaml"
    path.write_bytes(content)
    with pytest.raises(RuleError, match=rf"^{path}: is not YAML: ") as caught:
        load_rules(path, Service.GREEN)
    assert "\n" not in str(caught.value)


def test_a_missing_file_names_the_setting(tmp_path: Path) -> None:
    with pytest.raises(RuleError, match=r"rules\.yaml: the rules cannot be read .*; set TAXI_RULES\.$"):
        load_rules(tmp_path / "rules.yaml", Service.GREEN)


def many(count: int) -> list[dict[str, Any]]:
    return [
        {**RULE, "name": f"long_{number}", "when": f"trip_distance > {number}"} for number in range(count)
    ]


def test_the_greatest_number_of_rules_fits_into_a_verdict(tmp_path: Path) -> None:
    rules = load_rules(written(tmp_path / "rules.yaml", *many(MAX_RULES)), Service.GREEN)
    assert verdicts(rules, [{"trip_distance": 1000.0}]) == [{rule.name for rule in rules.rules}]
    assert verdicts(rules, [{"trip_distance": 1.5}, {"trip_distance": 0.0}]) == [{"long_0", "long_1"}, set()]


def test_more_rules_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "rules.yaml", *many(MAX_RULES + 1))
    with pytest.raises(RuleError, match=r"63 rules are enabled for green; at most 62 can be\.$"):
        load_rules(path, Service.GREEN)
    extra = {**many(MAX_RULES + 1)[-1], "services": ["fhvhv"]}  # each service counts its own
    load_rules(written(path, *many(MAX_RULES), extra), Service.GREEN)


def test_a_rule_may_use_the_bounds_of_the_month(tmp_path: Path) -> None:
    rule = {**RULE, "when": "dropoff_datetime >= month_end AND pickup_datetime >= month_start"}
    rules = load_rules(written(tmp_path / "rules.yaml", rule), Service.GREEN)
    late = {"pickup_datetime": TEN, "dropoff_datetime": dt.datetime(2020, 5, 1)}
    assert verdicts(rules, [late, TRIP]) == [{"long"}, set()]


def test_the_fingerprint_changes_with_what_matters_to_the_service(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    other = {**RULE, "name": "far", "when": "trip_distance > 99"}

    def fingerprint(*rules: dict[str, Any]) -> str:
        return load_rules(written(path, *rules), Service.GREEN).fingerprint

    first = fingerprint(RULE)
    assert fingerprint({**RULE, "why": "Another reason."}) == first
    assert fingerprint({**RULE, "services": ["green"]}) == first
    assert fingerprint(RULE, {**other, "services": ["fhvhv"]}) == first
    assert fingerprint(RULE, {**other, "enabled": False}) == first
    written(path, RULE)
    path.write_text("# a comment\n" + path.read_text())
    assert load_rules(path, Service.GREEN).fingerprint == first
    changed = [
        fingerprint(),
        fingerprint({**RULE, "enabled": False}, other),
        fingerprint(RULE, other),
        fingerprint(other, RULE),
        fingerprint({**RULE, "action": "quarantine"}),
        fingerprint({**RULE, "action": "quarantine", "why": "Another reason."}),  # is in quarantine.detail
        fingerprint({**RULE, "when": "trip_distance > 51"}),
        fingerprint({**RULE, "name": "longer"}),
    ]
    assert len({first, *changed}) == len(changed) + 1


def test_a_rule_can_be_switched_off(tmp_path: Path) -> None:
    rules = load_rules(written(tmp_path / "rules.yaml", {**RULE, "enabled": False}), Service.GREEN)
    assert verdicts(rules, [{"trip_distance": 1000.0}]) == [set()]


def test_every_rule_of_the_project_says_why() -> None:
    for service in Service:
        for rule in load_rules(RULES, service).rules:
            assert rule.why.endswith(".")
