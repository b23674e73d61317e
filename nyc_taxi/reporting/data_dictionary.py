"""Write docs/data-dictionary.md from the schema: `python -m nyc_taxi.reporting.data_dictionary`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from nyc_taxi.model.months import Service
from nyc_taxi.schema import FLAG_COLUMNS, LINEAGE_COLUMNS, QUALITY, QUARANTINE, Column, service_columns
from nyc_taxi.schema.arrow import ARROW_TYPES
from nyc_taxi.schema.sql import MONTH, POSTGRES_TYPES, SERVICE
from nyc_taxi.schema.tables import BIGQUERY_TYPES, LEDGER, trips
from nyc_taxi.settings import PROJECT

PATH = PROJECT / "docs" / "data-dictionary.md"

MEASURES = {
    "rows_in": "Rows in the source file.",
    "trips": "Trips.",
    "quarantined": "Rows that are no trips; with a rule as subject, those whose first reason it is.",
    "flagged": "Trips that a rule flagged. A trip may have several flags.",
    "unknown_column": "The file has a column that is not in this dictionary; no value.",
    "derived_column": "The transform added the column; no value.",
    "null_share": "Share of the trips without a value in a column, 0 to 1.",
    "min": "Least value of a column.",
    "median": "Median of a column; of months above 200,000 rows from every k-th row.",
    "max": "Greatest value of a column.",
    "sum": "Sum of a column.",
    "trips_on_day": "Trips that began on a day, written as 2020-04-01.",
}
"""What the quality report measures."""

_INTRODUCTION = """\
# Data dictionary

<!-- Made from nyc_taxi/schema by `python -m nyc_taxi.reporting.data_dictionary`; change it there. -->

| Table | One row is |
|---|---|
| {tables} | a trip |
| `quarantine_yellow`, ... | a row of a source file that is not a trip, with the reasons |
| `quality` | one measure of a month |
| `ledger` | a load or deletion of a month; the view `ledger_current` has the one in force |
| `zones` | a taxi zone |

Postgres, BigQuery and DuckDB use these table names. In buckets and in the workspace the same rows are
Parquet files (`trips.parquet`, `quarantine.parquet`, `quality.parquet`) in folders named after the service
and the month.

Before your first query:

- Times are New York local time as reported by meters and bases, without a time zone.
- Every row of a file is in exactly one table: trips or quarantine. Trips that are unusual but real have
  `flags`; `mage_project/rules.yaml` explains every flag and reason. Besides, `zone_from_coordinates` marks
  trips whose zones are not in the file but were found from its coordinates.
- A charge and its cancellation are two trips. Exclude both from sums with `reversal_source_row IS NULL`.
- NULL means that the file has no value or no such column. *Since* is the first month whose CSV has the
  column; TLC's Parquet files of some earlier months have it, too (for example zones instead of coordinates).
- *In files* lists the other names of a column. Names are compared without regard to case, spaces and
  punctuation.
- A column of a file that is missing from this dictionary is kept under its own name, after all others.
- Columns that your transform (`mage_project/transformers/derive_trips.py`) adds come last. Their comments in
  Postgres, BigQuery and DuckDB name the function. Trips that it drops are in quarantine, its name as reason.
- Types are those of the Parquet files (as Arrow names them), Postgres and BigQuery.
- `month` is a date, the first day, in all tables and in `nyc_taxi.read_trips`. The folders of Parquet files
  spell it `2020-04`, which engines read as text; `docs/analyst.md` has the query that makes it a date.
"""


def text() -> str:
    """The whole dictionary as Markdown."""
    # zones is no floor of the package but stands beside them
    from nyc_taxi.pipelines.zones import COLUMNS as ZONES

    tables = ", ".join(f"`{trips(service).name}`" for service in Service)
    parts = [_INTRODUCTION.format(tables=tables)]
    parts += [_trips(service) for service in Service]
    parts += [
        "## Month, lineage and flags of every trip\n",
        _table(_plain_rows((MONTH, *LINEAGE_COLUMNS, *FLAG_COLUMNS)), "Column", "Types", "What it is"),
        "## Quarantine\n",
        _table(_plain_rows((MONTH, *QUARANTINE)), "Column", "Types", "What it is"),
        "## Quality\n",
        _table(_plain_rows((SERVICE, MONTH, *QUALITY)), "Column", "Types", "What it is"),
        _table(((_code(name), meaning) for name, meaning in MEASURES.items()), "Measure", "What it is"),
        "## Ledger\n",
        _table(_ledger_rows(), "Column", "Types", "What it is"),
        "## Zones\n",
        _table(_plain_rows(ZONES), "Column", "Types", "What it is"),
    ]
    return "\n".join(parts)


def write(path: Path = PATH) -> None:
    """Write the dictionary."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text(), encoding="utf-8")


def _trips(service: Service) -> str:
    columns = service_columns(service)
    rows = [
        (
            _code(column.name),
            _types(column),
            column.unit,
            str(column.since),
            _description(column),
            ", ".join(_code(name) for name in column.names if name != column.name),
        )
        for column in columns
    ]
    heading = (
        f"## Trips of {service}\n\nTable `{trips(service).name}`; files since {service.first_month}.\n\n"
    )
    return heading + _table(rows, "Column", "Types", "Unit", "Since", "What it is", "In files")


def _description(column: Column) -> str:
    lines = [column.description]
    if column.meaning:
        lines.append("; ".join(f"{_code(code)} {means}" for code, means in column.meaning.items()))
    words: dict[object, list[str]] = {}
    for word, code in column.codes.items():
        words.setdefault(code, []).append(word)
    if words:
        lines.append(
            "Older files: "
            + "; ".join(f"{', '.join(spellings)} for {_code(code)}" for code, spellings in words.items())
        )
    return "<br>".join(lines)


def _plain_rows(columns: Sequence[Column]) -> list[tuple[str, ...]]:
    return [(_code(column.name), _types(column), column.description) for column in columns]


def _ledger_rows() -> list[tuple[str, ...]]:
    """The ledger is no file; in Postgres it has fewer bytes for some numbers, which nobody needs to know."""
    kinds = {"string": "text", "int64": "whole number", "date": "date", "instant": "moment in UTC"}
    return [(_code(column.name), kinds[column.type], column.description) for column in LEDGER]


def _types(column: Column) -> str:
    # Parquet calls the values of a list "element"
    in_files = str(ARROW_TYPES[column.type]).replace("<item:", "<element:")
    types = (in_files, POSTGRES_TYPES[column.type], BIGQUERY_TYPES[column.type])
    return ", ".join(_code(kind) for kind in types)


def _table(rows: Iterable[Sequence[str]], *heads: str) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |\n" for line in lines)


def _code(value: object) -> str:
    return f"`{value}`"


if __name__ == "__main__":
    write()
