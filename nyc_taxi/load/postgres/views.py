"""The views over the ledger and over all rows of each service's files."""

from __future__ import annotations

import logging
from collections.abc import Collection
from importlib import resources

from sqlalchemy import text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from nyc_taxi.load.all_rows import DESCRIPTION, all_rows_query, view_columns, view_name
from nyc_taxi.load.postgres.client import execute
from nyc_taxi.load.postgres.errors import sqlstate
from nyc_taxi.load.postgres.locks import LOCK_TIMEOUT
from nyc_taxi.load.postgres.tables import columns_of, lock_schema, quarantine_of, trips_of
from nyc_taxi.model.months import Service
from nyc_taxi.schema.sql import POSTGRES_TYPES, literal, quoted

log = logging.getLogger(__name__)

LEDGER_CURRENT = "ledger_current"

_OTHER_COLUMNS = "42P16"
"""SQLSTATE of CREATE OR REPLACE VIEW where the view has other columns than the first ones of the new text."""


def refresh_views(connection: Connection, schema: str) -> None:
    """Create the views that are missing or lack columns; one that views or readers of others use stays."""
    stale = _stale(connection)
    if not stale:
        return
    lock_schema(connection, schema)
    for name in _stale(connection):
        try:
            with connection.begin_nested():
                execute(connection, f"SET LOCAL lock_timeout TO '{LOCK_TIMEOUT}'")  # readers may use the view
                _replace(connection, name)
        except DBAPIError as error:
            log.warning("The view %s stays as it is: %s", name, str(error.orig).splitlines()[0])


def _replace(connection: Connection, name: str) -> None:
    """Create or replace the view; one whose new columns do not all come last is dropped first."""
    try:
        with connection.begin_nested():
            execute(connection, _definition(name))
    except DBAPIError as error:
        if sqlstate(error) != _OTHER_COLUMNS:
            raise
        grants = _grants(connection, name)
        for statement in (f"DROP VIEW {quoted(name)}", _definition(name), *grants):
            execute(connection, statement)


def _grants(connection: Connection, name: str) -> list[str]:
    """The statements that grant the privileges on a view again, once it is dropped and created."""
    query = (
        "SELECT format('GRANT %s ON %I TO %s%s', privilege_type, relname,"
        " CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END,"
        " CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)"
        " FROM pg_class, aclexplode(relacl) WHERE pg_class.oid = to_regclass(:name) AND grantee <> relowner"
    )
    return list(connection.scalars(text(query), {"name": quoted(name)}))


def drop_views(connection: Connection, columns: Collection[tuple[str, str]]) -> list[str]:
    """Drop the views that read one of the columns, given as table and name, which is about to change.

    `refresh_views` creates them again. Returns the statements that grant their privileges again.
    """
    query = text(
        "SELECT DISTINCT view.relname FROM pg_depend"
        " JOIN pg_rewrite ON pg_depend.classid = 'pg_rewrite'::regclass AND pg_depend.objid = pg_rewrite.oid"
        " JOIN pg_class AS view ON view.oid = ev_class AND view.oid = to_regclass(quote_ident(view.relname))"
        " JOIN pg_attribute ON attrelid = refobjid AND attnum = refobjsubid"
        " WHERE refclassid = 'pg_class'::regclass AND refobjid = to_regclass(:table) AND attname = :column"
    )
    readers = {
        name
        for table, column in columns
        for name in connection.scalars(query, {"table": quoted(table), "column": column})
    }
    dropped = [name for name in (LEDGER_CURRENT, *map(view_name, Service)) if name in readers]
    grants = [grant for name in dropped for grant in _grants(connection, name)]
    for name in dropped:
        execute(connection, f"DROP VIEW {quoted(name)}")
    return grants


def _stale(connection: Connection) -> list[str]:
    """The views that do not have the columns of their tables; not those whose tables lack some."""
    names = []
    ledger = list(columns_of(connection, "ledger"))
    if ledger and ledger != list(columns_of(connection, LEDGER_CURRENT)):
        names.append(LEDGER_CURRENT)
    for service in Service:
        expected = view_columns(service)
        has_columns = {*expected[:-2]} <= columns_of(connection, trips_of(service)).keys()
        if has_columns and expected != list(columns_of(connection, view_name(service))):
            names.append(view_name(service))
    return names


def _definition(name: str) -> str:
    if name == LEDGER_CURRENT:
        return resources.files(__package__).joinpath("ledger_current.sql").read_text(encoding="utf-8")
    service = Service(name.rpartition("_")[2])
    query = all_rows_query(
        service,
        quoted(trips_of(service)),
        quoted(quarantine_of(service)),
        POSTGRES_TYPES,
        lambda key: f"CAST(raw AS json) ->> {literal(key)}",
    )
    description = literal(DESCRIPTION.format(service=service))
    return (
        f"CREATE OR REPLACE VIEW {quoted(name)} AS {query};\nCOMMENT ON VIEW {quoted(name)} IS {description}"
    )
