"""Tables as SQL text, derived from the canonical columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nyc_taxi.model.months import SERVICE_NAMES
from nyc_taxi.schema import Column

if TYPE_CHECKING:
    import pyarrow as pa

POSTGRES_TYPES: dict[str, str] = {
    "int16": "smallint",
    "int32": "integer",
    "int64": "bigint",
    "float64": "double precision",
    "string": "text",
    "date": "date",
    "timestamp": "timestamp without time zone",
    "instant": "timestamp with time zone",
    "bool": "boolean",
    "strings": "text[]",
}
"""Postgres type by key of ARROW_TYPES, and for `instant`, spelled as in Postgres's catalog."""

CHANGE_TYPE = (
    "`taxi migrate` changes the table if the schema declares the column (nyc_taxi/schema/columns.yaml);"
    " otherwise give it the table's type or another name in the transform, or drop it from the table"
)
"""Advice for a column whose type differs from the table's."""

SERVICE = Column("service", "string", f"Service: {SERVICE_NAMES}.")
MONTH = Column("month", "date", "Month of the file, as its first day.")


def postgres_type(kind: pa.DataType) -> str | None:
    """Return the Postgres type of an Arrow type; None for types that no table here uses."""
    from nyc_taxi.schema.arrow import ARROW_TYPES

    for key, arrow in ARROW_TYPES.items():
        if arrow.equals(kind):
            return POSTGRES_TYPES[key]
    return None


def quoted(name: str) -> str:
    """Quote a name for SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Quote a text for SQL. DuckDB could take parameters instead, but binding them imports pandas."""
    return "'" + text.replace("'", "''") + "'"


def comment(column: Column) -> str:
    """Return a column's description, with its unit and the meaning of each code."""
    parts = [column.description]
    if column.unit:
        parts.append(f"Unit: {column.unit}.")
    if column.meaning:
        parts.append(
            "Codes: " + "; ".join(f"{code} = {means}" for code, means in column.meaning.items()) + "."
        )
    return " ".join(parts)


def postgres_table(
    name: str, description: str, columns: Sequence[Column], keys: Sequence[Column], clause: str = ""
) -> str:
    """Return CREATE TABLE and its comments; `keys` come first and are never null, `clause` comes last."""
    lines = [f"{quoted(key.name)} {POSTGRES_TYPES[key.type]} NOT NULL" for key in keys]
    lines += [f"{quoted(column.name)} {POSTGRES_TYPES[column.type]}" for column in columns]
    body = ",\n    ".join(lines)
    statements = [
        f"CREATE TABLE {quoted(name)} (\n    {body}\n) {clause}".rstrip(),
        f"COMMENT ON TABLE {quoted(name)} IS {literal(description)}",
        *(postgres_comment(name, column.name, comment(column)) for column in (*keys, *columns)),
    ]
    return ";\n".join(statements) + ";\n"


def postgres_comment(table: str, column: str, text: str) -> str:
    """COMMENT ON COLUMN."""
    return f"COMMENT ON COLUMN {quoted(table)}.{quoted(column)} IS {literal(text)}"
