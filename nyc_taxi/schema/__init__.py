"""The canonical columns of each service, from which every other schema is derived.

This module reads `columns.yaml`, maps a file's columns by name, and defines the Arrow schemas of a
month's trips, quarantine and quality. `nyc_taxi.schema.sql` and `nyc_taxi.schema.tables` derive the
database schemas.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from importlib import resources
from typing import TYPE_CHECKING, Any

import yaml

from nyc_taxi.errors import SchemaError
from nyc_taxi.model.months import Month, Service

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA_VERSION = 1
"""Incremented when a canonical column changes type or meaning, or replaces an unknown column."""


@dataclass(frozen=True)
class Column:
    """A canonical column as one service has it."""

    name: str
    type: str
    """Key of ARROW_TYPES."""
    description: str
    unit: str = ""
    since: Month | None = None
    names: tuple[str, ...] = ()
    """Normalised names in files, in order of preference; always include the canonical name."""
    required: bool = False
    codes: dict[str, Any] = field(default_factory=dict, hash=False)
    """Today's code by the text of older files, in upper case."""
    meaning: dict[Any, str] = field(default_factory=dict, hash=False)


LINEAGE_COLUMNS = (
    Column("source_version", "string", "First 12 hex digits of the source file's SHA-256 (see the ledger)."),
    Column("source_row", "int64", "Row number in the source file: 1 is the first row after the header."),
)
"""Columns that trace a row to its source file."""

FLAG_COLUMNS = (
    Column("flags", "strings", "Names of the rules that flag the trip; empty for most."),
    Column("reversal_source_row", "int64", "source_row of the other half of a trip and its reversal."),
)

QUARANTINE = (
    Column("source_version", "string", LINEAGE_COLUMNS[0].description),
    Column("source_row", "int64", LINEAGE_COLUMNS[1].description),
    Column("reasons", "strings", "Names of the rules that quarantine the row."),
    Column("column_name", "string", "The column that could not be read, where that is the reason."),
    Column("detail", "string", "Explanation of the reasons."),
    Column("raw", "string", "The row: as JSON, or as its text where a line of CSV could not be read."),
)

QUALITY = (
    Column("measure", "string", "What was measured: trips, quarantined, flagged, null_share, median, ..."),
    Column("subject", "string", "What it was measured on: a rule, a column, a day; '' for the whole month."),
    Column("value", "float64", "The figure; empty when there is none."),
)


@functools.cache
def _catalogue() -> list[dict[str, Any]]:
    text = resources.files("nyc_taxi.schema").joinpath("columns.yaml").read_text(encoding="utf-8")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # in C ten times as fast, where it was built
    columns: list[dict[str, Any]] = yaml.load(text, loader)["columns"]
    return columns


@functools.cache
def service_columns(service: Service) -> tuple[Column, ...]:
    """Return the canonical columns of a service's trips, in table order, without lineage and flag columns."""
    columns = []
    for entry in _catalogue():
        service_entry = entry["services"].get(str(service))
        if service_entry is None:
            continue
        names = [entry["name"], *service_entry.get("names", ())]
        columns.append(
            Column(
                name=entry["name"],
                type=entry["type"],
                description=entry["description"],
                unit=entry.get("unit", ""),
                since=Month.parse(service_entry["since"]),
                names=tuple(dict.fromkeys(normalise(name) for name in names)),
                required=str(service) in entry.get("required", ()),
                codes={str(key): value for key, value in entry.get("codes", {}).items()},
                meaning=entry.get("meaning", {}),
            )
        )
    return tuple(columns)


def has_coordinates(service: Service, month: Month) -> bool:
    """Whether TLC published the month with coordinates and without zones."""
    since = {column.name: column.since for column in service_columns(service)}
    return "pickup_longitude" in since and month < (since["pickup_location_id"] or month)


def trip_columns(service: Service) -> tuple[Column, ...]:
    """Return all columns of a service's trips: canonical, lineage and flags."""
    return (*service_columns(service), *LINEAGE_COLUMNS, *FLAG_COLUMNS)


def descriptions(schema: pa.Schema) -> dict[str, str]:
    """Return descriptions by column, from field metadata: only columns that a transform added have one."""
    texts = {field.name: (field.metadata or {}).get(b"description") for field in schema}
    return {name: text.decode() for name, text in texts.items() if text}


def normalise(name: str) -> str:
    """Normalise a file's column name: `' Lpep_dropoff datetime '` becomes `lpep_dropoff_datetime`."""
    return re.sub(r"[^0-9a-z]+", "_", name.strip().lower()).strip("_")


RESERVED = {"service", "month", "month_start", "month_end"}
"""Names with a special meaning in tables and rules."""

SYSTEM_COLUMNS = {"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid", "rowid"}
"""Columns that Postgres (DuckDB: rowid) adds to every table; no other column can have these names."""

_NAME_LENGTH = 63
"""Maximum length of a name: Postgres truncates longer ones, and the column would not be found again."""


@dataclass(frozen=True)
class Mapping:
    """The mapping of a file's columns to canonical columns."""

    columns: dict[str, tuple[str, ...]]
    """The file's own names by canonical name, in order of preference."""
    unknown: dict[str, str]
    """The file's own names of columns that the schema does not know, by their snake_case name."""
    absent: tuple[str, ...]
    """Canonical columns that the file lacks."""


def _safe_name(name: str, reserved: Collection[str]) -> str:
    """Return a name for an unknown column that every destination accepts; the same name in every file."""
    if name in reserved:
        return f"{name}_in_file"
    if name[0].isdigit():
        name = f"_{name}"  # BigQuery's names begin with a letter or underscore
    if len(name) <= _NAME_LENGTH:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: _NAME_LENGTH - 9]}_{digest}"


def map_header(service: Service, header: list[str], file: str) -> Mapping:
    """Map a file's columns by name; raises SchemaError naming a missing or duplicate column."""
    by_name: dict[str, str] = {}
    for place, own in enumerate(header, 1):
        key = normalise(own) or f"unnamed_{place}"
        if key in by_name:
            raise SchemaError(f"{file}: the header has the column {own.strip()!r} twice.")
        by_name[key] = own
    columns: dict[str, tuple[str, ...]] = {}
    absent = []
    for column in service_columns(service):
        present = tuple(by_name.pop(name) for name in column.names if name in by_name)
        if present:
            columns[column.name] = present
        elif column.required:
            raise SchemaError(
                f"{file}: the required column {column.name} is missing "
                f"(looked for {', '.join(column.names)}); is this a {service} file?"
            )
        else:
            absent.append(column.name)
    reserved = {column.name for column in (*LINEAGE_COLUMNS, *FLAG_COLUMNS)} | RESERVED | SYSTEM_COLUMNS
    unknown: dict[str, str] = {}
    for name, own in by_name.items():
        if unknown.setdefault(_safe_name(name, reserved), own) != own:
            raise SchemaError(f"{file}: the header has the column {own.strip()!r} twice.")
    return Mapping(columns, unknown, tuple(absent))
