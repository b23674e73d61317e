"""The workspace's current months as the tables and views of a DuckDB database, without loading them."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from nyc_taxi.errors import TaxiError, one_line
from nyc_taxi.load.views.definitions import views
from nyc_taxi.load.warehouse.duckdb.load import SCHEMA
from nyc_taxi.load.warehouse.duckdb.lookup import replace_lookup
from nyc_taxi.load.warehouse.duckdb.session import DuckDbSession
from nyc_taxi.load.warehouse.duckdb.tables import DIALECT
from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.references import MonthFiles
from nyc_taxi.pipelines.zones import shipped_zones
from nyc_taxi.reporting.current_months import path_of, readers
from nyc_taxi.schema import Column
from nyc_taxi.schema.sql import literal
from nyc_taxi.schema.tables import DUCKDB_TYPES, QUALITY_TABLE, Table, month_tables, quarantine, trips
from nyc_taxi.settings import Settings

log = logging.getLogger(__name__)

_Paths = list[tuple[Service, Month, Path]]


def create_tables(
    connection: duckdb.DuckDBPyConnection, settings: Settings, generated: bool, sql: str
) -> list[Path]:
    """Define trips, quarantine and quality of all current months, the zones, and the views; not the ledger.

    Only tables that the query names, directly or by way of a view, can be read; of a lake in a bucket, only
    their files are fetched. A month that cannot be read is left out with a warning. Returns the files that
    the tables read. Raises TaxiError when no month is there.
    """
    session = DuckDbSession(connection, SCHEMA)
    months = readers(generated, settings)
    if not months:
        hint = "run `taxi run green 2020-04` first"
        if not generated and readers(True, settings):
            hint = "there are generated ones, which --generated includes"
        raise TaxiError(
            f"no month is in the workspace {settings.workspace}: {hint}, or name a database with --on."
        )
    names = _named(sql, session)
    paths: dict[str, _Paths] = {name: [] for name in names}
    for service, month, find in months:
        of_service = month_tables(service)
        kinds = [kind for kind, table in of_service.items() if table.name in names]
        try:
            read = _read(find, kinds, generated, settings) if kinds else {}
        except (TaxiError, OSError, pa.ArrowInvalid) as error:
            log.warning("%s %s is left out: %s.", service, month, one_line(error))
            continue
        for kind, path in read.items():
            paths[of_service[kind].name].append((service, month, path))
    session.execute(f"CREATE SCHEMA {session.schema}")
    for table in (*map(trips, Service), *map(quarantine, Service), QUALITY_TABLE):
        _define(session, table, paths.get(table.name))
    replace_lookup(session, shipped_zones())  # and then the views, which need all tables
    return [path for every in paths.values() for _, _, path in every]


def _named(sql: str, session: DuckDbSession) -> set[str]:
    """The tables and views whose names are words of the query, and what these views read."""
    names = set(re.findall(r"\w+", sql.casefold()))
    for view in reversed(views(session.qualified, DIALECT)):
        if view.name in names:
            names |= view.reads
    return names


def _read(
    find: Callable[[], MonthFiles], kinds: Sequence[str], generated: bool, settings: Settings
) -> dict[str, Path]:
    """A month's files by kind, on this machine; raises what Parquet says about a damaged one."""
    files = find()
    if files.source.is_sample and not generated:
        raise TaxiError("its real version is damaged; `taxi run` makes it anew.")
    paths = {kind: path_of(files, f"{kind}.parquet", settings) for kind in kinds}
    for path in paths.values():
        pq.read_metadata(path)
    return paths


def _define(session: DuckDbSession, table: Table, paths: _Paths | None) -> None:
    """A view over the files, which has the table's columns even where no file has them.

    Without paths, the view raises an error when it is read.
    """
    columns: tuple[Column, ...] = (*table.keys, *table.columns)
    typed = ", ".join(f"CAST(NULL AS {DUCKDB_TYPES[column.type]}) AS {column.name}" for column in columns)
    hint = literal(f"the query reads {table.name} without its name: write the name out")
    no_row = "false" if paths is not None else f"CASE WHEN true THEN error({hint}) END"
    selects = [f"SELECT {typed} WHERE {no_row}"]
    for service, month, path in paths or ():
        values = {"service": literal(service), "month": f"DATE '{month.first_day}'"}
        keys = ", ".join(f"{values[key.name]} AS {key.name}" for key in table.keys)
        source = f"read_parquet({literal(str(path))}, hive_partitioning = false)"
        selects.append(f"SELECT {keys}, * FROM {source}")
    query = "\nUNION ALL BY NAME\n".join(selects)
    session.execute(f"CREATE VIEW {session.qualified(table.name)} AS {query}")
