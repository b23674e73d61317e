"""Tables as SQL text, derived from the canonical columns."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from nyc_taxi.schema import ARROW_TYPES, Column

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
"""Postgres type by key of ARROW_TYPES, and for `instant`, spelled as Postgres' own catalogue spells it."""

CHANGE_TYPE = (
    "`taxi migrate` changes the table if the schema declares the column (nyc_taxi/schema/columns.yaml);"
    " otherwise give it the table's type or another name in the transform, or drop it from the table"
)
"""What to do about a column whose type is not the table's."""

SERVICE = Column("service", "string", "Service: yellow, green, fhv or fhvhv.")
MONTH = Column("month", "date", "Month of the file, as its first day.")


def postgres_type(kind: pa.DataType) -> str | None:
    """The Postgres type that holds an Arrow type; None for one that no table here uses."""
    for key, arrow in ARROW_TYPES.items():
        if arrow.equals(kind):
            return POSTGRES_TYPES[key]
    return None


def quoted(name: str) -> str:
    """A name as SQL writes it, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as SQL writes it. In DuckDB parameters would do, but importing pandas is their price."""
    return "'" + text.replace("'", "''") + "'"


def comment(column: Column) -> str:
    """What the column holds: description, unit, and what each code means."""
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
    """CREATE TABLE with all comments; `keys` stand first and are never null, `clause` stands behind."""
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
