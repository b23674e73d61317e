"""The views of every database, each defined once, in SQL that Postgres, DuckDB and BigQuery understand.

A view is a file beside this one, or `all_rows_<service>`. What the three write differently is a `Dialect`.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from importlib import resources
from string import Formatter

from nyc_taxi.load.views.all_rows import DESCRIPTION, all_rows_query, view_name
from nyc_taxi.model.months import Service
from nyc_taxi.schema import trip_columns
from nyc_taxi.schema.tables import LEDGER, all_tables, quarantine, trips

log = logging.getLogger(__name__)

ANALYST_VIEWS = (
    "taxi_trips",
    "daily_revenue_by_zone",
    "hourly_trips",
    "monthly_revenue_by_zone",
    "monthly_totals",
    "trip_speeds",
    "quarantine_by_rule",
)
VIEWS = ("ledger_current", *ANALYST_VIEWS)
"""Those with a file of SQL, each after those it reads."""

OLDER_VIEWS = frozenset(
    {"ledger_current", "taxi_trips", "daily_revenue_by_zone", *(view_name(service) for service in Service)}
)
"""Those that earlier versions created without a mark of their own: a view of such a name is the package's."""

ZONES = "zones"
"""The table of taxi zones, which is loaded by itself."""


@dataclass(frozen=True)
class Dialect:
    """What a database writes in its own way."""

    types: Mapping[str, str]
    """By key of ARROW_TYPES."""
    cell: Callable[[str], str]
    """The value of a key of the JSON in the column `raw`, as text."""
    minutes: str
    """The duration of a trip in minutes, as a float."""


@dataclass(frozen=True)
class View:
    """A view, ready to be created."""

    name: str
    description: str
    query: str
    reads: frozenset[str]
    """The tables and views that it reads."""

    @property
    def fingerprint(self) -> str:
        """Names the definition, since databases do not keep its text as it was given."""
        return hashlib.sha256(f"{self.name}\n{self.description}\n{self.query}".encode()).hexdigest()[:16]

    @property
    def comment(self) -> str:
        """Marks the view as the package's, and names its definition."""
        return f"{self.description} (Definition {self.fingerprint}.)"

    def is_comment(self, text: str | None) -> bool:
        """Whether this or another version of the package wrote the comment."""
        return text == self.description or bool(re.search(r" \(Definition [0-9a-f]{16}\.\)$", text or ""))


def views(qualified: Callable[[str], str], dialect: Dialect) -> list[View]:
    """All views; `qualified` writes the name of a table or view as the database's SQL does."""
    names = {name: qualified(name) for name in (*(table.name for table in all_tables()), ZONES, *VIEWS)}
    with_file = [_view(name, names, dialect) for name in VIEWS]
    return [*with_file, *(_all_rows(service, names, dialect) for service in Service)]


def readable(every: Collection[View], tables: Collection[str]) -> list[View]:
    """The views of which all that they read is among the tables, or a view that is itself readable."""
    known, selected = set(tables), []
    for view in every:
        if view.reads <= known:
            known.add(view.name)
            selected.append(view)
    return selected


def warn_of_foreign(name: str, where: str) -> None:
    """Say that a table or view of somebody else has the name of a view."""
    log.warning(
        "%s in %s is not a view of this package and stays as it is, so the view %s and those that read it are"
        " not created: rename the object if you want them.",
        name,
        where,
        name,
    )


def _all_rows(service: Service, names: Mapping[str, str], dialect: Dialect) -> View:
    tables = trips(service).name, quarantine(service).name
    query = all_rows_query(service, names[tables[0]], names[tables[1]], dialect.types, dialect.cell)
    return View(view_name(service), DESCRIPTION.format(service=service), query, frozenset(tables))


def _view(name: str, names: Mapping[str, str], dialect: Dialect) -> View:
    text = resources.files(__package__).joinpath(f"{name}.sql").read_text(encoding="utf-8")
    heading = re.match(r"(-- .*\n)+", text)
    assert heading, f"{name}.sql does not begin with what it is"
    description = heading[0].replace("-- ", "").replace("\n", " ").strip()
    body = text[heading.end() :].strip()
    columns = {"columns": _common_columns(), "ledger_columns": ", ".join(column.name for column in LEDGER)}
    query = body.format(**columns, **dialect.types, minutes=dialect.minutes, **names)
    reads = {field for _, field, _, _ in Formatter().parse(body) if field and field in names}
    return View(name, description, query, frozenset(reads))


def _common_columns() -> str:
    """The month, and the columns of yellow trips that green trips have too."""
    green = {column.name for column in trip_columns(Service.GREEN)}
    common = [column.name for column in trip_columns(Service.YELLOW) if column.name in green]
    return ",\n    ".join(["month", *common])
