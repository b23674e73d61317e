"""The layout of a month's file: `eras.yaml`, resolved for one service, format and month."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

import yaml

from nyc_taxi.errors import SettingsError
from nyc_taxi.model.months import Month, Service
from nyc_taxi.schema import Column, map_header, service_columns

Entry = dict[str, Any]

_COLUMN_KEYS = ("columns", "types", "rename")
"""Keys of a Parquet era that define its columns."""


@dataclass(frozen=True)
class FileColumn:
    """A column of a file."""

    name: str
    """The exact name in the file."""
    canonical: Column
    empty: bool
    type: str = ""
    """Arrow type; Parquet only."""


@dataclass(frozen=True)
class Era:
    """The layout of a service's files of one format in a month; fields as in `eras.yaml`."""

    columns: tuple[FileColumn, ...]
    null_block: tuple[str, ...] = ()
    words: dict[str, dict[Any, Any]] = field(default_factory=dict)
    # CSV
    header: str = ""
    end: str = ""
    tail: str = ""
    numbers: str = "short"
    distance: str = "bare"
    coordinates: str = "float32"
    time: str = "plain"
    quote: str = "none"
    none: str = ""
    # Parquet
    codec: str = ""
    version: str = "2.6"

    @property
    def filled(self) -> frozenset[str]:
        """Return the canonical names of the columns that hold values."""
        return frozenset(
            column.canonical.name for column in self.columns if not column.empty and column.type != "null"
        )


@functools.cache
def data(name: str) -> Entry:
    """Return the content of one of the package's YAML files."""
    text = resources.files("nyc_taxi.local.samples").joinpath(name).read_text(encoding="utf-8")
    loaded: Entry = yaml.safe_load(text)
    return loaded


def as_of(entries: list[Entry], month: Month) -> Entry:
    """Merge the entries in force in a month; each changes some keys from its own month on."""
    merged: Entry = {}
    for entry in entries:
        if Month.parse(entry["since"]) <= month:
            merged |= entry
    merged.pop("since", None)
    return merged


def csv_era(service: Service, month: Month) -> Era:
    """Return a month's CSV layout; raises SettingsError for one before the service's first."""
    entry = as_of(_entries("csv", service, month), month)
    names = entry["header"].splitlines()[0].replace('"', "").split(",")
    return _era(service, month, entry, dict.fromkeys(names, ""))


def parquet_era(service: Service, month: Month) -> Era:
    """Return a month's Parquet layout; raises SettingsError for one before the service's first."""
    entries = _entries("parquet", service, month)
    types: dict[str, str] = {}
    for entry in entries:
        if Month.parse(entry["since"]) <= month:
            types = dict(entry.get("columns", types))
            renamed = entry.get("rename", {})
            types = {renamed.get(name, name): kind for name, kind in types.items()} | entry.get("types", {})
    entry = {key: value for key, value in as_of(entries, month).items() if key not in _COLUMN_KEYS}
    return _era(service, month, entry, types)


def _entries(kind: str, service: Service, month: Month) -> list[Entry]:
    """All entries of a service; raises SettingsError where there are none for the month."""
    if month < service.first_month:
        raise SettingsError(f"{service} has no month {month}: the first is {service.first_month}.")
    entries: list[Entry] = data("eras.yaml")[kind].get(service)
    if not entries:
        raise SettingsError(
            f"{service} has no generated months as {kind}: add the layout of its files to eras.yaml of"
            " nyc_taxi/local/samples, or name another source."
        )
    return entries


def _era(service: Service, month: Month, entry: Entry, types: dict[str, str]) -> Era:
    mapping = map_header(service, list(types), f"sample of {service} {month}")
    canonical = {own: name for name, owns in mapping.columns.items() for own in owns}
    known = {column.name: column for column in service_columns(service)}
    empty = entry.pop("empty", [])
    columns = tuple(
        FileColumn(name, known[canonical[name]], name in empty, kind) for name, kind in types.items()
    )
    return Era(columns, tuple(entry.pop("null_block", ())), **entry)
