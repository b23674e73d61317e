"""The views that every warehouse has, in SQL that BigQuery and DuckDB both understand."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources

from nyc_taxi.load.all_rows import DESCRIPTION, all_rows_query, view_name
from nyc_taxi.model.months import Service
from nyc_taxi.schema import trip_columns
from nyc_taxi.schema.tables import LEDGER, all_tables

ANALYST_VIEWS = ("taxi_trips", "daily_revenue_by_zone")
VIEWS = ("ledger_current", *ANALYST_VIEWS)
"""Those with a file of SQL, each after those it reads."""


@dataclass(frozen=True)
class View:
    """A view, ready to be created."""

    name: str
    description: str
    query: str


def views(
    qualified: Callable[[str], str], types: Mapping[str, str], cell: Callable[[str], str]
) -> list[View]:
    """All views; `qualified` writes the name of a table or view as the warehouse's SQL does.

    `types` and `cell` as for `nyc_taxi.load.all_rows`.
    """
    names = {name: qualified(name) for name in (*(table.name for table in all_tables()), *VIEWS)}
    all_rows = [
        View(
            view_name(service),
            DESCRIPTION.format(service=service),
            all_rows_query(service, names[f"trips_{service}"], names[f"quarantine_{service}"], types, cell),
        )
        for service in Service
    ]
    return [*(_view(name, names) for name in VIEWS), *all_rows]


def _view(name: str, names: dict[str, str]) -> View:
    text = resources.files(__package__).joinpath(f"{name}.sql").read_text(encoding="utf-8")
    heading = re.match(r"(-- .*\n)+", text)
    assert heading, f"{name}.sql does not begin with what it is"
    description = heading[0].replace("-- ", "").replace("\n", " ").strip()
    columns = {"columns": _common_columns(), "ledger_columns": ", ".join(column.name for column in LEDGER)}
    query = text[heading.end() :].format(**columns, **names).strip()
    return View(name, description, query)


def _common_columns() -> str:
    """The month, and the columns of yellow trips that green trips have too."""
    green = {column.name for column in trip_columns(Service.GREEN)}
    common = [column.name for column in trip_columns(Service.YELLOW) if column.name in green]
    return ",\n    ".join(["month", *common])
