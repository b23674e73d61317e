"""The workspace's current months as the tables and views of a DuckDB database, without loading them."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from nyc_taxi.errors import TaxiError
from nyc_taxi.load.warehouse.duckdb.load import SCHEMA
from nyc_taxi.load.warehouse.duckdb.lookup import replace_lookup
from nyc_taxi.load.warehouse.duckdb.session import DuckDbSession
from nyc_taxi.load.warehouse.duckdb.tables import refresh_views
from nyc_taxi.model.months import Service
from nyc_taxi.model.references import MonthFiles
from nyc_taxi.pipelines.zones import shipped_zones
from nyc_taxi.reporting.current_months import files_of, months
from nyc_taxi.schema import Column
from nyc_taxi.schema.sql import literal
from nyc_taxi.schema.tables import DUCKDB_TYPES, QUALITY_TABLE, Table, quarantine, trips
from nyc_taxi.settings import Settings


def create_tables(connection: duckdb.DuckDBPyConnection, settings: Settings, generated: bool) -> None:
    """Define trips, quarantine and quality of all current months, the zones, and the views; not the ledger.

    Raises TaxiError when no month is there.
    """
    session = DuckDbSession(connection, SCHEMA)
    files = months(generated=generated, settings=settings)
    if not files:
        hint = "run `taxi run green 2020-04` first"
        if not generated and months(generated=True, settings=settings):
            hint = "there are generated ones, which --generated includes"
        raise TaxiError(
            f"no month is in the workspace {settings.workspace}: {hint}, or name a database with --on."
        )
    files = [files_of(each, settings) for each in files]
    replace_lookup(session, shipped_zones())
    for service in Service:
        of_service = [each for each in files if each.service == service]
        _define(session, trips(service), of_service, "trips")
        _define(session, quarantine(service), of_service, "quarantine")
    _define(session, QUALITY_TABLE, files, "quality")
    refresh_views(session)


def _define(session: DuckDbSession, table: Table, files: Sequence[MonthFiles], kind: str) -> None:
    """A view over the files, which has the table's columns even where no file has them."""
    columns: tuple[Column, ...] = (*table.keys, *table.columns)
    typed = ", ".join(f"CAST(NULL AS {DUCKDB_TYPES[column.type]}) AS {column.name}" for column in columns)
    selects = [f"SELECT {typed} WHERE false"]
    for each in files:
        values = {"service": literal(each.service), "month": f"DATE '{each.month.first_day}'"}
        keys = ", ".join(f"{values[key.name]} AS {key.name}" for key in table.keys)
        path = literal(str(each.folder / f"{kind}.parquet"))
        selects.append(f"SELECT {keys}, * FROM read_parquet({path}, hive_partitioning = false)")
    query = "\nUNION ALL BY NAME\n".join(selects)
    session.execute(f"CREATE VIEW {session.qualified(table.name)} AS {query}")
