"""Loading rules to apply them: each is compiled on an empty month and checked first."""

from __future__ import annotations

import functools
from pathlib import Path

import duckdb

from nyc_taxi.errors import RuleError
from nyc_taxi.model.months import Month, Service
from nyc_taxi.schema import service_columns
from nyc_taxi.schema.arrow import arrow_schema
from nyc_taxi.transform.condition import find_objection, sandbox
from nyc_taxi.transform.rules import Rule, Rules, batch_sql, parse_rules, read_content

_ANY_MONTH = Month(2020, 1)


def load_rules(path: Path, service: Service) -> Rules:
    """Read the rules and check those of the service; raises RuleError naming file and rule."""
    return _checked(path, read_content(path), service)


@functools.lru_cache(maxsize=16)  # every step of a run loads them
def _checked(path: Path, content: bytes, service: Service) -> Rules:
    rules = parse_rules(path, content, service)
    with sandbox() as connection:
        connection.register("batch", arrow_schema(service_columns(service)).empty_table())
        for rule in rules.rules:
            _check(path, rule, rules, connection)
    return rules


def _check(path: Path, rule: Rule, rules: Rules, connection: duckdb.DuckDBPyConnection) -> None:
    """Compile the rule on an empty month; check that it names a column and that conditions are boolean."""
    columns = [column.name for column in service_columns(rules.service)]
    if rule.when is not None:
        objection = find_objection(rule.when, [*columns, "month_start", "month_end"], connection)
        if objection:
            raise RuleError(f"{path}: rule {rule.name!r} {objection}.")
    named = [*(rule.repeats or ()), *((rule.reverses.same + rule.reverses.negated) if rule.reverses else ())]
    for name in named:
        if name not in columns and named != ["all"]:
            raise RuleError(
                f"{path}: rule {rule.name!r} names the column {name!r}, which {rules.service} does not have; "
                "see docs/data-dictionary.md, or give the rule its services."
            )
    try:
        alone = Rules(rules.service, (rule,))
        connection.execute(alone.verdict_sql(_ANY_MONTH)).fetchall()
        kind = "BOOLEAN" if rule.when is None else _type_of(rule.when, connection)
    except duckdb.Error as error:
        message = str(error).split("\n")[0].removesuffix("!")
        raise RuleError(
            f"{path}: rule {rule.name!r} does not compile for {rules.service}: {message}."
        ) from None
    if kind != "BOOLEAN":
        raise RuleError(f"{path}: rule {rule.name!r} is a value of type {kind}, not a condition; compare it.")


def _type_of(when: str, connection: duckdb.DuckDBPyConnection) -> str:
    """Return the type of a condition; raises duckdb.Error for aggregates and window functions."""
    query = f"SELECT ({when}) FROM ({batch_sql(_ANY_MONTH)}) WHERE ({when})"
    return str(connection.execute(query).description[0][1])
