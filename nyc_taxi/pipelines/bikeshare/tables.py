"""The raw tables of the flow, as described in `tables.yaml`."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from nyc_taxi.errors import SettingsError
from nyc_taxi.schema import Column
from nyc_taxi.schema.arrow import ARROW_TYPES

TYPES: dict[str, pa.DataType] = {
    **{name: ARROW_TYPES[name] for name in ("int16", "int32", "int64", "float64", "string")},
    **{name: ARROW_TYPES[name] for name in ("date", "timestamp")},
    "instant": pa.timestamp("us", tz="UTC"),
}
"""Arrow type by the name used in tables.yaml."""

ORIGINS = ("mysql", "bucket", "daily")


@dataclass(frozen=True)
class RawTable:
    """A raw table, with one partition per day."""

    name: str
    origin: str
    """`mysql`, `bucket` or `daily`; see tables.yaml."""
    key: str
    """The column that identifies rows."""
    description: str
    columns: tuple[Column, ...]
    object: str = ""
    """Name of the object, for a table from the bucket."""

    @property
    def raw_name(self) -> str:
        """Name in the warehouse."""
        return f"raw_{self.name}"

    @property
    def schema(self) -> pa.Schema:
        """Arrow schema of the columns."""
        return pa.schema(
            [pa.field(column.name, TYPES[column.type], not column.required) for column in self.columns]
        )


@functools.cache
def read_tables(file: Path) -> tuple[RawTable, ...]:
    """Read the tables of a file such as `tables.yaml`; raises SettingsError naming the mistake."""
    try:
        described = yaml.safe_load(file.read_text(encoding="utf-8"))["tables"]
        tables = tuple(_table(file, name, entry) for name, entry in described.items())
    except OSError as error:
        raise SettingsError(
            f"{file}: cannot be read ({error.strerror}); set TAXI_BIKESHARE_TABLES."
        ) from None
    except yaml.YAMLError as error:
        raise SettingsError(f"{file}: is not valid YAML: {' '.join(str(error).split())}.") from None
    except (KeyError, TypeError, AttributeError) as error:
        raise SettingsError(
            f"{file}: does not describe tables as nyc_taxi/pipelines/bikeshare/tables.yaml does"
            f" ({type(error).__name__}: {error})."
        ) from None
    missing = {"stations", "regions", "trips"} - {table.name for table in tables}
    if missing:  # the derived tables and the checks read these
        raise SettingsError(f"{file}: lacks the table {', '.join(sorted(missing))}.")
    return tables


def _table(file: Path, name: str, entry: dict[str, Any]) -> RawTable:
    where = f"{file}: table {name}"
    _check_name(name, where)
    columns = []
    for described in entry["columns"]:
        column = Column(**{"description": "", **described})
        _check_name(column.name, f"{where}, column {column.name!r}")
        if column.type not in TYPES:
            raise SettingsError(
                f"{where}, column {column.name}: type {column.type!r} is none of {', '.join(TYPES)}."
            )
        columns.append(column)
    table = RawTable(
        name, entry["from"], entry["key"], entry["description"], tuple(columns), entry.get("object", "")
    )
    if table.origin not in ORIGINS:
        raise SettingsError(f"{where}: from {table.origin!r} is none of {', '.join(ORIGINS)}.")
    if table.origin == "bucket" and not table.object:
        raise SettingsError(f"{where}: a table from the bucket needs `object`, the name of its object.")
    if table.key not in {column.name for column in columns if column.required}:
        raise SettingsError(f"{where}: its key {table.key!r} is not one of its required columns.")
    return table


def _check_name(name: str, where: str) -> None:
    """Refuse names other than letters, digits and underscores, because they go into SQL unquoted."""
    if not re.fullmatch(r"[a-z_][a-z0-9_]{0,59}", str(name)):
        raise SettingsError(f"{where}: use lower-case letters, digits and underscores only.")
    if name == "date":
        raise SettingsError(f"{where}: the name `date` is reserved for the day of the partition.")
