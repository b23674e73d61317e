"""Conditions of rules are data: reproducible, bounded, and without access to anything but their row."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from nyc_taxi.errors import RuleError
from nyc_taxi.model.months import Service
from nyc_taxi.settings import PROJECT
from nyc_taxi.transform.condition import MAX_LENGTH, sandbox
from nyc_taxi.transform.rule_checks import load_rules
from tests.support.builders import RULES

HEAD = "rules:\n- name: tried\n  action: flag\n  why: Tried.\n  when: |-\n    "

NOT_REPRODUCIBLE = [
    "random() < fare_amount",
    "main.random() < fare_amount",
    "RANDOM() < fare_amount",
    "pickup_datetime > now()::TIMESTAMP",
    "pickup_datetime > current_timestamp",
    "pickup_datetime > CURRENT_DATE",
    "pickup_datetime > localtimestamp",
    "pickup_datetime > current_localtimestamp()",
    "pickup_datetime > today()",
    "pickup_datetime > get_current_timestamp()",
    "age(pickup_datetime) > INTERVAL 1 YEAR",
    "fare_amount > 0 AND uuid() IS NOT NULL",
    "fare_amount > 0 AND gen_random_uuid() IS NOT NULL",
    "fare_amount > txid_current()",
    "store_and_fwd_flag = current_user",
    "store_and_fwd_flag = user()",
    "sleep_ms(10) AND fare_amount > 0",
    "fare_amount > 0 AND error('x') IS NULL",
]
NOT_BOUNDED = [
    "len(range(1000000000)) > fare_amount",
    "len(range(1000000000)) > 0 AND fare_amount > 0",
    "len(generate_series(passenger_count, 1000000000)) > 0",
    "len(repeat('x', 1000000000)) > fare_amount",
    "len((store_and_fwd_flag).repeat(1000000000)) > fare_amount",
    "len(lpad(store_and_fwd_flag, 1000000000, ' ')) > 0",
    "len(printf('%1000000000d', passenger_count)) > 0",
    "len(replace(store_and_fwd_flag, 'N', 'NNNNNNNNNN')) > 0",
    "len(replace(store_and_fwd_flag, 'N', '\u00e9')) > 0",
    "len(replace(store_and_fwd_flag, 'N', store_and_fwd_flag)) > 0",
    "len(replace(store_and_fwd_flag, store_and_fwd_flag, '')) > 0",
    "len(replace(repeat('x', 1000000000), 'x', '')) > 0",
    "len(list_transform([1, 2], lambda x: x + fare_amount)) > 0",
    "len(hex(hex(store_and_fwd_flag))) > 0",
    "len(list_resize([fare_amount], 1000000000)) > 0",
    "store_and_fwd_flag = current_setting('TimeZone')",
    "store_and_fwd_flag = getvariable('x')",
]
LISTS = ["passenger_count IN [1, 2]", "passenger_count NOT IN [1, 2]", "passenger_count = ANY([1, 2])"]
BAD_TYPES = [
    "fare_amount::VARCHAR::VARCHAR[]::VARCHAR = ''",
    "bit_count(store_and_fwd_flag::BIT) > 0",
    "store_and_fwd_flag::JSON IS NOT NULL",
]
GOOD = [
    "trip_distance > 50",
    "dropoff_datetime - pickup_datetime > INTERVAL 5 HOUR",
    "date_trunc('day', pickup_datetime) < month_start",
    "extract(hour FROM pickup_datetime) IN (3, 4)",
    "date_diff('minute', pickup_datetime, dropoff_datetime) > 600",
    "store_and_fwd_flag ~ '[YN]' AND upper(trim(store_and_fwd_flag)) <> 'N'",
    "store_and_fwd_flag || 'x' LIKE '%y%' OR store_and_fwd_flag ILIKE 'y'",
    "coalesce(tip_amount, 0) > greatest(fare_amount, 0) * 3",
    "abs(round(total_amount, 2) - fare_amount) > 1000 AND NOT isnan(total_amount)",
    "CASE WHEN vendor_id = 1 THEN fare_amount > 500 ELSE fare_amount > 900 END",
    "TRY_CAST(store_and_fwd_flag AS DECIMAL(10, 2)) > 1",
    "pickup_datetime < DATE '2009-01-01' OR nullif(passenger_count, 0) > 9",
    "strftime(pickup_datetime, '%H') = '03' AND substring(store_and_fwd_flag, 1, 1) = 'N'",
    "replace(store_and_fwd_flag, 'Y', '') = '' OR replace(store_and_fwd_flag, 'NN', 'Y') = 'Y'",
    "trip_distance ** 2 > 10 AND trip_distance % 2 = 0 AND (passenger_count & 1) = 1",
    "pickup_location_id IS DISTINCT FROM dropoff_location_id AND fmod(fare_amount, 1) > 0",
]


def written(path: Path, condition: str) -> Path:
    path.write_text(HEAD + condition)
    return path


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        (NOT_REPRODUCIBLE, "whose value is not the same on every run"),
        (NOT_BOUNDED, "which conditions may not use, as its result may have any size"),
        (LISTS, r"list; to compare with several values, write `IN \(1, 2\)`"),
        (
            ["age(dropoff_datetime, pickup_datetime) > INTERVAL 5 HOUR"],
            r"subtract them: age\(a, b\) is a - b",
        ),
        (BAD_TYPES, "casts to a type other than a number, a truth value, a time or text"),
        (["fare_amount > 0" + " AND fare_amount > 0" * MAX_LENGTH], "characters; at most 10,000 are allowed"),
        (["(" * 900 + "fare_amount" + " + 1)" * 900 + " > 0"], "is nested too deeply|does not compile"),
    ],
    ids=["not reproducible", "not bounded", "list", "age", "type", "length", "depth"],
)
def test_a_condition_that_is_a_program_is_refused(
    tmp_path: Path, conditions: list[str], message: str
) -> None:
    for condition in conditions:
        with pytest.raises(RuleError, match=rf"rules.yaml: rule 'tried' .*({message})") as caught:
            load_rules(written(tmp_path / "rules.yaml", condition), Service.GREEN)
        assert "\n" not in str(caught.value)


def test_a_refused_condition_is_not_run(tmp_path: Path) -> None:
    """Constants are computed when a query is planned: this one took all memory of the machine."""
    written(tmp_path / "rules.yaml", NOT_BOUNDED[0])
    program = (
        "import sys, pathlib\n"
        "from nyc_taxi.transform.rule_checks import load_rules\n"
        "from tests.support.memory import peak_megabytes\n"
        "try: load_rules(pathlib.Path(sys.argv[1]), 'green')\n"
        "except Exception as error: print(type(error).__name__)\n"
        "print(peak_megabytes())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "rules.yaml"],
        capture_output=True,
        text=True,
        check=True,
        cwd=PROJECT,
    )
    name, megabytes = done.stdout.split()
    assert name == "RuleError"
    assert int(megabytes) < 1000


@pytest.mark.parametrize("condition", GOOD)
def test_a_condition_on_one_row_is_accepted(tmp_path: Path, condition: str) -> None:
    assert load_rules(written(tmp_path / "rules.yaml", condition), Service.GREEN).rules[0].when == condition


def test_the_rules_of_the_project_are_accepted() -> None:
    for service in Service:
        assert load_rules(RULES, service).rules


@pytest.mark.parametrize(
    "query", ["FROM read_text('{file}')", "FROM '{file}'", "COPY (SELECT 1) TO '{file}'", "ATTACH '{file}'"]
)
def test_rules_reach_no_file(tmp_path: Path, query: str) -> None:
    file = tmp_path / "secret.csv"
    file.write_text("a\n1\n")
    with sandbox() as connection, pytest.raises(duckdb.Error, match=r"disabled|not allowed"):
        connection.execute(query.format(file=file))
    with sandbox() as connection, pytest.raises(duckdb.Error, match="locked"):
        connection.execute("SET enable_external_access = true")
    subquery = written(tmp_path / "rules.yaml", f"fare_amount > (SELECT 1 FROM read_text('{file}'))")
    with pytest.raises(RuleError, match="has a subquery"):
        load_rules(subquery, Service.GREEN)
    assert file.read_text() == "a\n1\n"


def test_the_sandbox_has_limits_and_a_time_zone() -> None:
    with sandbox() as connection:
        (setting,) = connection.execute(
            "SELECT current_setting('memory_limit'), current_setting('TimeZone')"
        ).fetchall()
    assert setting == ("488.2 MiB", "UTC")
