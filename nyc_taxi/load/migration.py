"""Migrations: the steps that bring existing tables to the schema, the same in every destination with tables.

A column whose type differs is converted in place if every value survives it. Otherwise it is set aside under
another name, so that nothing is lost, and its months are loaded again from their raw files. Rows that have a
value under the other name only tell which months, so a migration that is killed goes on when it is run again.
"""

from __future__ import annotations

import datetime as dt
import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from nyc_taxi.model.months import Month, Service
from nyc_taxi.schema import Column
from nyc_taxi.schema.sql import comment, quoted
from nyc_taxi.schema.tables import Table, all_tables


@dataclass(frozen=True)
class Migration:
    """One step, for one column."""

    table: str
    description: str
    """Such as `trip_type: bigint becomes smallint`."""
    statements: tuple[str, ...]
    reload: tuple[tuple[Service, Month], ...] = ()
    """The months whose values cannot be converted."""
    changed: str | None = None
    """The existing column that is converted or set aside, if there is one."""


class Existing(Protocol):
    """The tables of a destination, as a migration looks at them."""

    types: Mapping[str, str]
    """The destination's type by key of ARROW_TYPES."""

    def columns(self, table: str) -> dict[str, str]:
        """The types of a table's columns by name; empty if the table does not exist."""
        ...

    def converts(self, table: str, column: str, old: str, new: str) -> bool:
        """Whether every value keeps its meaning in the new type."""
        ...

    def months_with(self, table: str, column: str, instead_of: str | None = None) -> list[dt.date]:
        """The months in which a column has values, as their first days; `instead_of` is NULL beside them."""
        ...

    def add(self, table: str, column: str, kind: str, description: str) -> Sequence[str]:
        """SQL that adds a column."""
        ...

    def convert(self, table: str, column: str, kind: str) -> Sequence[str]:
        """SQL that changes a column's type in place."""
        ...

    def rename(self, table: str, column: str, new: str) -> Sequence[str]:
        """SQL that renames a column."""
        ...


def only_in(column: str, instead_of: str | None, quote: Callable[[str], str] = quoted) -> str:
    """The condition of `Existing.months_with` in SQL."""
    condition = f"{quote(column)} IS NOT NULL"
    return f"{condition} AND {quote(instead_of)} IS NULL" if instead_of else condition


def plan(existing: Existing) -> list[Migration]:
    """The steps for all tables that exist; a missing table is created by the first load."""
    steps = []
    for table in all_tables():
        columns = existing.columns(table.name)
        for column in (*table.keys, *table.columns) if columns else ():
            kind = existing.types[column.type]
            if column.name not in columns:
                steps.append(
                    Migration(
                        table.name,
                        f"{column.name} is added as {kind}",
                        tuple(existing.add(table.name, column.name, kind, comment(column))),
                    )
                )
            elif columns[column.name] != kind:
                steps.append(_change(existing, table, column, columns, kind))
            steps.extend(_unfinished(existing, table, column, columns))
    return steps


def _unfinished(
    existing: Existing, table: Table, column: Column, columns: Mapping[str, str]
) -> Iterator[Migration]:
    """Months that an earlier migration has not loaded again."""
    known = {each.name for each in table.columns}
    for aside, old in columns.items():
        if aside not in known and re.fullmatch(rf"{_aside(column.name, old)}(_\d+)?", aside):
            instead_of = column.name if column.name in columns else None
            if months := _months(existing, table, aside, instead_of):
                yield Migration(table.name, f"{column.name}: only {aside} has the values", (), months)


def _months(
    existing: Existing, table: Table, column: str, instead_of: str | None = None
) -> tuple[tuple[Service, Month], ...]:
    services = [service for service in Service if table.name.endswith(f"_{service}")]
    days = existing.months_with(table.name, column, instead_of) if services else []
    return tuple((service, Month.of(day)) for service in services for day in days)


def _change(
    existing: Existing, table: Table, column: Column, columns: Mapping[str, str], kind: str
) -> Migration:
    name, old = column.name, columns[column.name]
    if existing.converts(table.name, name, old, kind):
        statements = existing.convert(table.name, name, kind)
        return Migration(table.name, f"{name}: {old} becomes {kind}", tuple(statements), changed=name)
    aside = _unused(_aside(name, old), columns)
    return Migration(
        table.name,
        f"{name}: {old} becomes {kind}, which not all values fit; they are kept as {aside}",
        (
            *existing.rename(table.name, name, aside),
            *existing.add(table.name, name, kind, comment(column)),
        ),
        _months(existing, table, name),
        changed=name,
    )


def _aside(name: str, kind: str) -> str:
    """What a column of this type is called when it is set aside."""
    return f"{name}_{re.sub(r'[^a-z0-9]+', '_', kind.lower()).strip('_')}"


def _unused(name: str, columns: Mapping[str, str]) -> str:
    names = itertools.chain([name], (f"{name}_{number}" for number in itertools.count(2)))
    return next(each for each in names if each not in columns)
