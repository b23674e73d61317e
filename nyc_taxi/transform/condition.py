"""Validation of rule conditions: boolean expressions on one row, deterministic and in bounded memory.

A condition may call DuckDB functions that are deterministic and whose result is no larger than their
arguments: those that return a number, a boolean or a time, and a few that return text. DuckDB's memory
limit alone does not suffice, because it ignores the size of single values.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Collection, Iterator
from typing import Any

import duckdb

from nyc_taxi.schema.sql import literal

MEMORY_LIMIT = "512MB"
"""DuckDB's memory limit per thread that applies rules; a batch needs a fraction of it."""

MAX_LENGTH = 10_000
"""Maximum characters of a condition; the project's longest has 400."""

_SMALL_TYPES = {
    "BOOLEAN",
    *("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT"),
    *("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT"),
    *("FLOAT", "DOUBLE", "DECIMAL"),
    *("DATE", "TIME", "INTERVAL", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE"),
    *("TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"),
}
"""Types whose values have a fixed size."""

_SHORT_RESULTS = {
    *("lower", "upper", "lcase", "ucase", "trim", "ltrim", "rtrim", "left", "right", "substr", "substring"),
    *("reverse", "strip_accents", "translate", "split_part", "regexp_extract", "md5", "sha256"),
    *("strftime", "dayname", "monthname", "||", "concat", "greatest", "least", "nullif"),
    *(
        "fdiv",
        "fmod",
        "round_even",
        "date_add",
        "days_in_month",
    ),  # macros, whose types DuckDB does not report
}
"""Functions whose result is no longer than their arguments together."""

_DEPEND_ON_TODAY = {"age", "current_localtime", "current_localtimestamp"}
"""Functions that DuckDB marks as consistent but that depend on the time, except age(a, b)."""

_SESSION_FUNCTIONS = {
    *("current_timestamp", "current_date", "current_time", "localtime", "localtimestamp"),
    *("current_user", "user", "session_user", "current_role", "current_schema", "current_catalog"),
}
"""Functions that are written like columns."""


def sandbox() -> duckdb.DuckDBPyConnection:
    """Return an empty single-threaded database with a memory limit, without access to files or network."""
    connection = duckdb.connect(config={"threads": 1, "memory_limit": MEMORY_LIMIT})
    connection.execute("SET TimeZone = 'UTC'; SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def find_objection(when: str, columns: Collection[str], connection: duckdb.DuckDBPyConnection) -> str | None:
    """Return why `when` is not a condition on these columns, as the predicate of a sentence, or None.

    Parses the condition without executing it.
    """
    if len(when) > MAX_LENGTH:
        return f"has {len(when):,} characters; at most {MAX_LENGTH:,} are allowed"
    query = f"SELECT {when} FROM batch"
    text = connection.execute(f"SELECT json_serialize_sql({literal(query)})").fetchall()[0][0]
    try:
        parsed = json.loads(text)
    except RecursionError:
        return "is nested too deeply; split it into several rules"
    if parsed.get("error") or len(parsed["statements"]) != 1:
        message = re.sub(r"\s+", " ", str(parsed.get("error_message", "more than one statement")))
        message = message.replace(
            'at or near "FROM"', "at its end"
        )  # FROM belongs to the query, not to the condition
        return f"does not compile: {when!r}: {message}"
    nodes = list(_nodes(parsed["statements"][0]["node"]))
    objections = (_objection(node, columns, _refused_functions()) for node in nodes)
    if objection := next(filter(None, objections), None):
        return objection
    if not any(node["class"] == "COLUMN_REF" for node in nodes):
        return "names no column, so it would match every row or none"
    return None


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Yield all expressions of a parsed statement; iterative, because it may be deeply nested."""
    left = [tree]
    while left:
        item = left.pop()
        if isinstance(item, dict):
            if "class" in item:
                yield item
            left += item.values()
        elif isinstance(item, list):
            left += item


def _objection(node: dict[str, Any], columns: Collection[str], refused: dict[str, str]) -> str | None:
    match node:
        case {"class": "SUBQUERY", "subquery": {"node": {"select_list": [{"function_name": "unnest"}]}}}:
            return f"compares with ANY of a list; {_USE_IN}"
        case {"class": "SUBQUERY"}:
            return "has a subquery; a condition sees one row only"
        case {"class": "FUNCTION", "function_name": "list_value"}:
            return f"has a list; {_USE_IN}"
        case {"class": "FUNCTION", "function_name": "age", "children": [_, _]}:
            return "calls age() with two times; subtract them: age(a, b) is a - b"
        case {"class": "FUNCTION", "function_name": "replace", "children": [_, *texts]} if _shortens(texts):
            return None
        case {"class": "FUNCTION", "function_name": name} if name in refused:
            return f"calls {name}(), {refused[name]}"
        case {"class": "COLUMN_REF", "column_names": [*_, str(name)]}:
            if name.lower() in _SESSION_FUNCTIONS.difference(columns):
                return f"uses {name}, {_NOT_REPRODUCIBLE}"
        case {"class": "CAST", "cast_type": {"id": kind}} if kind not in {*_SMALL_TYPES, "VARCHAR"}:
            return "casts to a type other than a number, a truth value, a time or text"
    return None


def _shortens(texts: list[dict[str, Any]]) -> bool:
    """Return whether replace() substitutes a literal by one of at most as many bytes."""
    match texts:
        case [{"value": {"value": str(searched)}}, {"value": {"value": str(replacement)}}]:
            return len(replacement.encode()) <= len(searched.encode())
    return False


_USE_IN = "to compare with several values, write `IN (1, 2)`"
_NOT_REPRODUCIBLE = (
    "whose value is not the same on every run; use columns of the row, month_start and month_end"
)
_NOT_BOUNDED = (
    "which conditions may not use, as its result may have any size or depend on the session;"
    " use functions that return a number, a truth value or a time"
)


@functools.cache
def _refused_functions() -> dict[str, str]:
    """Return the refused functions with the reason; DuckDB itself refuses aggregates."""
    refused = {}
    with duckdb.connect() as connection:
        functions = connection.execute(
            "SELECT function_name, bool_and(coalesce(stability = 'CONSISTENT', function_type = 'macro')),"
            " list(DISTINCT return_type) FROM duckdb_functions()"
            " WHERE function_type IN ('scalar', 'macro') GROUP BY 1"
        ).fetchall()
    for name, is_consistent, types in functions:
        if name in _SHORT_RESULTS:
            continue
        if not is_consistent or name in _DEPEND_ON_TODAY | _SESSION_FUNCTIONS:
            refused[name] = _NOT_REPRODUCIBLE
        elif not _SMALL_TYPES & {*types}:
            refused[name] = _NOT_BOUNDED
    return refused
