"""The view of all rows of a service's files: trips and quarantine together, in canonical columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nyc_taxi.model.months import Service
from nyc_taxi.schema import FLAG_COLUMNS, LINEAGE_COLUMNS, service_columns, trip_columns
from nyc_taxi.transform.rules import UNREADABLE

DESCRIPTION = "All rows of {service} files in canonical columns: trips, where reason is NULL, and quarantine."

_REASON = "ARRAY_TO_STRING(reasons, ', ')"


def view_name(service: Service) -> str:
    """The name of a service's view."""
    return f"all_rows_{service}"


def all_rows_query(
    service: Service,
    trips: str,
    quarantine: str,
    types: Mapping[str, str],
    cell: Callable[[str], str],
) -> str:
    """The SELECT of the view, in the SQL that Postgres, DuckDB and BigQuery share.

    `trips` and `quarantine` are the tables as SQL writes them, `types` is the destination's type by key of
    ARROW_TYPES, and `cell` writes the value of a key of the JSON in the column `raw`, as text. A readable
    row's JSON has canonical names and values. The cells of an unreadable row stay NULL: see its `raw`.
    """
    text = types["string"]
    of_trips = [
        "month",
        *(column.name for column in trip_columns(service)),
        f"CAST(NULL AS {text}) AS reason",
        f"CAST(NULL AS {text}) AS detail",
    ]
    is_readable = f"{_REASON} <> '{UNREADABLE}' AND raw LIKE '{{%'"
    of_quarantine = ["month"]
    for column in service_columns(service):
        value = f"CAST({cell(column.name)} AS {types[column.type]})"
        of_quarantine.append(f"CASE WHEN {is_readable} THEN {value} END AS {column.name}")
    of_quarantine += [column.name for column in LINEAGE_COLUMNS]
    of_quarantine += [f"CAST(NULL AS {types[column.type]}) AS {column.name}" for column in FLAG_COLUMNS]
    of_quarantine += [f"{_REASON} AS reason", "detail"]
    # a table that requires a filter of its readers gets one
    since = "WHERE month >= DATE '2009-01-01'"
    return (
        f"SELECT\n    {_lines(of_trips)}\nFROM {trips}\n{since}\n"
        f"UNION ALL\nSELECT\n    {_lines(of_quarantine)}\nFROM {quarantine}\n{since}"
    )


def _lines(columns: list[str]) -> str:
    return ",\n    ".join(columns)
