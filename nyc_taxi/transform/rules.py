"""The rules: read, and compiled to SQL.

A rule's index in the table is its bit in a row's verdict, so that verdicts are two columns of integers. Row
rules are conditions in DuckDB's SQL; month rules (`repeats`, `reverses`) compare rows with each other, first
by a hash key and then exactly.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
import yaml

from nyc_taxi.errors import RuleError
from nyc_taxi.model.months import Month, Service
from nyc_taxi.schema import service_columns
from nyc_taxi.transform.read import UNREADABLE

MAX_RULES = 62
"""Maximum number of rules: the non-negative bits of a signed 64-bit verdict, less DROPPED_BIT."""

BUILT_IN_BIT = 62
"""The bit that no rule has: of rows that the user's transform drops, of trips whose zones were assigned."""

ZONE_FLAG = "zone_from_coordinates"
"""The flag of trips whose zones were assigned (`nyc_taxi.transform.zones`)."""

BUILT_IN_WHY = {
    UNREADABLE: "The row, or a value in it, could not be read.",
    ZONE_FLAG: "The file has coordinates and no zones; these were found from the coordinates.",
}
"""What the reasons and flags that no rule has mean."""

KEY_COLUMNS = 8
"""Maximum columns of a key: enough to distinguish nearly all rows; equal keys are compared exactly."""


class Reversal(pydantic.BaseModel):
    """The columns that identify a trip and its reversal: equal in `same`, opposite in `negated`."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)
    same: list[str] = pydantic.Field(min_length=1)
    negated: list[str] = pydantic.Field(min_length=1)


class Rule(pydantic.BaseModel):
    """One rule; `mage_project/rules.yaml` documents the fields."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)
    name: Annotated[str, pydantic.StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
    action: Literal["quarantine", "flag"]
    why: Annotated[str, pydantic.StringConstraints(min_length=1)]
    services: list[Service] = list(Service)
    enabled: bool = True
    when: str | None = None
    unless: list[str] = []
    repeats: list[str] | None = None
    reverses: Reversal | None = None
    examples: list[dict[str, Any]] = []
    """Values of a plain trip, changed so that the rule matches: for tests."""

    @pydantic.model_validator(mode="after")
    def _one_kind(self) -> Rule:
        kinds = [kind for kind in (self.when, self.repeats, self.reverses) if kind]
        if len(kinds) != 1:
            raise ValueError("needs exactly one of when, repeats and reverses")
        if self.unless and self.when is None:
            raise ValueError("unless requires when")
        return self


@dataclass(frozen=True)
class Rules:
    """The rules enabled for one service, in order; a rule's index is its bit."""

    service: Service
    rules: tuple[Rule, ...]
    transform: str = ""
    """The user's function that drops trips after the rules; its bit in a verdict is BUILT_IN_BIT."""

    @property
    def fingerprint(self) -> str:
        """Hash of the rules that affect the service.

        It ignores comments and the `why` of flags; the `why` of other rules is in the quarantine's `detail`.
        """

        def ignored(rule: Rule) -> set[str]:
            unused = {"why": rule.action == "flag", "unless": not rule.unless}
            return {
                "services",
                "enabled",
                "examples",
                *(name for name, is_unused in unused.items() if is_unused),
            }

        plain = [rule.model_dump(mode="json", exclude=ignored(rule)) for rule in self.rules]
        return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()

    def of(self, action: str) -> list[tuple[int, Rule]]:
        """Return the rules with an action, each with its bit."""
        return [(bit, rule) for bit, rule in enumerate(self.rules) if rule.action == action]

    def month_rules(self) -> list[tuple[int, Rule]]:
        """Return the rules that compare rows with each other, each with its bit."""
        return [(bit, rule) for bit, rule in enumerate(self.rules) if rule.when is None]

    def names(self, mask: int, action: str) -> list[str]:
        """The rules of an action set in a verdict; last the transform that dropped it, or ZONE_FLAG."""
        names = [rule.name for bit, rule in self.of(action) if mask >> bit & 1]
        built_in = self.transform if action == "quarantine" else ZONE_FLAG
        return [*names, built_in] if mask >> BUILT_IN_BIT & 1 else names

    def verdict_sql(self, month: Month, absent: Collection[str] = (), assigned: Collection[str] = ()) -> str:
        """A SELECT over `batch`: `_reasons`, `_flags`, and `_key_<bit>` for each month rule.

        Rows that match have the same key, which is never 0. It is NULL for rows that can be no
        match: quarantined ones, and for reversals those with nothing to reverse. `absent`: columns
        that the file does not have, so that nothing need be asked of them. `assigned`: columns of zones
        that do not come from the file; a row that has one of them gets the flag ZONE_FLAG.
        """
        flags = self._mask_sql("flag")
        if assigned:
            flags += " | " + _bit_sql(f"coalesce({', '.join(assigned)}) IS NOT NULL", BUILT_IN_BIT)
        columns = [f"{self._mask_sql('quarantine')} AS _reasons", f"{flags} AS _flags"]
        keys = [f"{self._key_sql(rule, absent)} AS _key_{bit}" for bit, rule in self.month_rules()]
        kept = ", ".join(
            f"CASE WHEN _reasons = 0 THEN _key_{bit} END AS _key_{bit}" for bit, _ in self.month_rules()
        )
        inner = f"SELECT {', '.join(columns + keys)} FROM ({batch_sql(month)})"
        return f"SELECT _reasons, _flags{', ' + kept if kept else ''} FROM ({inner})"

    def compared(self, rule: Rule, unknown: Iterable[str] = ()) -> list[str]:
        """Return the columns that a `repeats` rule compares; [all] includes unknown columns."""
        if rule.repeats == ["all"]:
            return [*(column.name for column in service_columns(self.service)), *unknown]
        return list(rule.repeats or ())

    def _by_selectivity(self, names: Iterable[str]) -> list[str]:
        """Sort columns by selectivity: times, then amounts, then codes."""
        types = {column.name: column.type for column in service_columns(self.service)}
        order = ["timestamp", "float64"]
        return sorted(names, key=lambda name: order.index(types[name]) if types[name] in order else 2)

    def _condition(self, rule: Rule) -> str:
        """Return the condition of a row rule, excluding rows that match a rule of its `unless`."""
        others = [other.when for other in self.rules if other.name in rule.unless]
        return " AND ".join([f"({rule.when})", *(f"({other}) IS NOT TRUE" for other in others)])

    def _mask_sql(self, action: str) -> str:
        bits = [
            _bit_sql(self._condition(rule), bit) for bit, rule in self.of(action) if rule.when is not None
        ]
        return " | ".join(["0::BIGINT", *bits])

    def _key_sql(self, rule: Rule, absent: Collection[str]) -> str:
        if rule.reverses is None:
            columns = [name for name in self._by_selectivity(self.compared(rule)) if name not in absent]
            return _hash_sql(f'"{name}"' for name in columns[:KEY_COLUMNS] or self.compared(rule)[:1])
        same = [f'"{name}"' for name in rule.reverses.same]
        amounts = [f'abs("{name}")' for name in rule.reverses.negated]
        nothing = " AND ".join(f'coalesce("{name}" = 0, true)' for name in rule.reverses.negated)
        return f"CASE WHEN NOT ({nothing}) THEN {_hash_sql([*same, *amounts])} END"


def read_rules(path: Path, service: Service) -> Rules:
    """Read the rules without compiling their SQL, which is slow; enough to compare fingerprints."""
    return parse_rules(path, read_content(path), service)


def read_content(path: Path) -> bytes:
    """Read the file; raises RuleError."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise RuleError(f"{path}: the rules cannot be read ({error.strerror}); set TAXI_RULES.") from None


@functools.lru_cache(maxsize=16)
def parse_rules(path: Path, content: bytes, service: Service) -> Rules:
    """Parse the content of the file at `path`; raises RuleError naming file and rule."""
    rules = [_rule(path, entry) for entry in _entries(path, content)]
    names = [rule.name for rule in rules]
    for name in names:
        if names.count(name) > 1:
            raise RuleError(f"{path}: two rules are called {name!r}; give each its own name.")
        if name in BUILT_IN_WHY:
            raise RuleError(f"{path}: a rule is called {name!r}, a reserved name; give it another one.")
    _check_unless(path, rules)
    chosen = Rules(service, tuple(rule for rule in rules if rule.enabled and service in rule.services))
    if len(chosen.rules) > MAX_RULES:
        raise RuleError(
            f"{path}: {len(chosen.rules)} rules are enabled for {service}; at most {MAX_RULES} can be."
        )
    return chosen


def _check_unless(path: Path, rules: list[Rule]) -> None:
    conditions = {rule.name for rule in rules if rule.when is not None}
    for rule in rules:
        for name in rule.unless:
            if name not in conditions:
                raise RuleError(
                    f"{path}: rule {rule.name!r}: unless names {name!r}, not a rule with a condition."
                )


class _Loader(yaml.SafeLoader):
    """YAML without aliases, a few lines of which stand for gigabytes."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases (*name) are refused, write the value instead")
        return super().compose_node(parent, index)


def _entries(path: Path, content: bytes) -> list[Any]:
    try:
        table = yaml.load(content, _Loader)
    except yaml.YAMLError as error:
        raise RuleError(f"{path}: is not YAML: {' '.join(str(error).split())}.") from None
    except RecursionError:
        raise RuleError(f"{path}: is not YAML: its values are nested too deeply.") from None
    entries = table.get("rules") if isinstance(table, dict) else None
    if not isinstance(entries, list):
        raise RuleError(f"{path}: has no list called rules; to apply no rules, write `rules: []`.")
    return entries


def _rule(path: Path, entry: Any) -> Rule:
    name = entry.get("name", entry) if isinstance(entry, dict) else entry
    try:
        return Rule.model_validate(entry)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the rule"
        if first["type"] == "extra_forbidden":
            fields = ", ".join((Reversal if len(first["loc"]) > 1 else Rule).model_fields)
            raise RuleError(f"{path}: rule {name!r}: {where} is not known; use {fields}.") from None
        raise RuleError(
            f"{path}: rule {name!r}: {where}: {first['msg'].removeprefix('Value error, ')}."
        ) from None


def _bit_sql(condition: str, bit: int) -> str:
    return f"CASE WHEN {condition} THEN {1 << bit}::BIGINT ELSE 0::BIGINT END"


def _hash_sql(values: Iterable[str]) -> str:
    """Return SQL for a hash that is the same for equal values, including -0.0 and 0.0, and is never 0."""
    return f"greatest(hash({', '.join(values)}), 1::UBIGINT)"


def batch_sql(month: Month) -> str:
    """Return the query for the rows that conditions see."""
    start, end = f"TIMESTAMP '{month.start}' AS month_start", f"TIMESTAMP '{month.end}' AS month_end"
    return f"SELECT *, {start}, {end} FROM batch"
