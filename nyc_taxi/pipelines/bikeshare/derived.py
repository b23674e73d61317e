"""The tables derived from raw tables in the warehouse: columns here, queries in sql/*.sql."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import resources

from nyc_taxi.schema import Column
from nyc_taxi.schema.tables import Table

DATE = Column("date", "date", "The day of the partition.")

LEDGER = Table(
    "ledger",
    "What each table holds of each day: one row, replaced together with the day's rows.",
    (Column("table_name", "string", "The table."), DATE),
    (
        Column("version", "string", "Names the content: the objects it was made of and the code or SQL."),
        Column("source", "string", "The objects or tables it was made of."),
        Column("row_count", "int64", "Rows of that day in the table."),
        Column("counts", "string", "What the checks counted, as JSON."),
        Column("package_version", "string", "Version of nyc_taxi that loaded."),
        Column("started_at", "instant", "When the load began."),
        Column("finished_at", "instant", "When the rows were about to become visible."),
        Column("run_id", "string", "The run that loaded, as its orchestrator names it."),
        Column("orchestrator", "string", "Who ran it: cli, mage or airflow."),
    ),
)

_STATION = Column("station_id", "int64", "Number of the station.")
_REGION_NAME = Column("region_name", "string", "Name of its region; empty for a station without one.")
_TRIPS = Column("trips", "int64", "Trips that began there.", unit="trips")


@dataclass(frozen=True)
class Derived:
    """A table and the query that fills it."""

    table: Table
    inputs: tuple[str, ...]
    """The raw tables that the query reads for one day."""
    condition: str
    """SQL assertion on the new rows; if it fails, the transaction is rolled back."""
    message: str
    """The error message if the assertion fails."""

    @property
    def daily(self) -> bool:
        """Whether the table has a partition per day; otherwise it covers the newest day only."""
        return DATE in self.table.keys

    @property
    def query(self) -> str:
        """The query, with placeholders `{name}` for tables and `@day` for the day."""
        return _read(self.table.name)[1]


def _read(name: str) -> tuple[str, str]:
    """Return a query's description, which is its heading comment, and the query."""
    text = (
        resources.files("nyc_taxi.pipelines.bikeshare.sql")
        .joinpath(f"{name}.sql")
        .read_text(encoding="utf-8")
    )
    heading = re.match(r"(-- .*\n)+", text)
    assert heading, f"{name}.sql does not begin with a description"
    return heading[0].replace("-- ", "").replace("\n", " ").strip(), text[heading.end() :].strip()


def _table(name: str, keys: tuple[Column, ...], *columns: Column, clustering: tuple[str, ...] = ()) -> Table:
    return Table(name, _read(name)[0], keys, columns, clustering)


DERIVED = (
    Derived(
        _table(
            "dim_stations",
            (),
            _STATION,
            Column("name", "string", "Name for people."),
            Column("region_id", "int64", "Region it lies in; empty for some."),
            _REGION_NAME,
            Column("capacity", "int64", "Docks.", unit="docks"),
            Column("as_of", "date", "The day whose stations these are."),
        ),
        inputs=("stations", "regions"),
        condition="(SELECT COUNT(*) FROM {dim_stations})"
        " = (SELECT COUNT(*) FROM {raw_stations} WHERE date = @day)",
        message="dim_stations has more or fewer stations than raw_stations: does a region occur twice?",
    ),
    Derived(
        _table(
            "fact_trips_daily",
            (DATE,),
            Column("station_id", "int64", "Number of the station; empty for trips that name none."),
            Column("station_name", "string", "Its name, or that in the trips for a station not known."),
            _TRIPS,
            Column("unknown_station_trips", "int64", "Those of them from a station not known.", unit="trips"),
            Column("average_duration_sec", "float64", "Average length of the trips.", unit="seconds"),
            Column("total_duration_sec", "int64", "Length of all trips together.", unit="seconds"),
            clustering=("station_id",),
        ),
        inputs=("trips", "stations"),
        condition="(SELECT SUM(trips) FROM {fact_trips_daily} WHERE date = @day)"
        " = (SELECT COUNT(*) FROM {raw_trips} WHERE date = @day)",
        message="fact_trips_daily has more or fewer trips than raw_trips: does a station occur twice?",
    ),
    Derived(
        _table(
            "top_stations_daily",
            (DATE,),
            Column("position", "int64", "1 for the station with most trips."),
            _STATION,
            Column("station_name", "string", "Its name."),
            _REGION_NAME,
            _TRIPS,
        ),
        inputs=("trips", "stations", "regions"),
        condition="(SELECT COUNT(*) FROM {top_stations_daily} WHERE date = @day) BETWEEN 1 AND 10",
        message="top_stations_daily does not have one to ten stations.",
    ),
)
"""The derived tables in dependency order."""
