"""The views: created where they are missing, and replaced once their definition has changed."""

from __future__ import annotations

import logging
from collections.abc import Collection

from sqlalchemy import text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from nyc_taxi.load.postgres.client import execute
from nyc_taxi.load.postgres.errors import sqlstate
from nyc_taxi.load.postgres.locks import LOCK_TIMEOUT
from nyc_taxi.load.postgres.tables import columns_of, lock_schema
from nyc_taxi.load.views.definitions import ZONES, Dialect, View, readable, views
from nyc_taxi.schema.sql import POSTGRES_TYPES, literal, quoted
from nyc_taxi.schema.tables import all_tables

log = logging.getLogger(__name__)

DIALECT = Dialect(
    POSTGRES_TYPES,
    cell=lambda key: f"CAST(raw AS json) ->> {literal(key)}",
    minutes="CAST(EXTRACT(EPOCH FROM dropoff_datetime - pickup_datetime) AS double precision) / 60",
)

_OTHER_COLUMNS = "42P16"
"""SQLSTATE of CREATE OR REPLACE VIEW where the view has other columns than the first ones of the new text."""

_READERS = text("""
WITH RECURSIVE reader (view) AS (
    SELECT ev_class
    FROM pg_depend
    JOIN pg_rewrite ON classid = 'pg_rewrite'::regclass AND objid = pg_rewrite.oid
    LEFT JOIN pg_attribute ON attrelid = refobjid AND attnum = refobjsubid
    WHERE refclassid = 'pg_class'::regclass AND refobjid = to_regclass(:name)
        AND (CAST(:column AS text) IS NULL OR attname = :column)
    UNION
    SELECT ev_class
    FROM reader
    JOIN pg_depend ON refclassid = 'pg_class'::regclass AND refobjid = reader.view
    JOIN pg_rewrite ON classid = 'pg_rewrite'::regclass AND objid = pg_rewrite.oid
)
SELECT relname FROM reader JOIN pg_class ON oid = view AND oid = to_regclass(quote_ident(relname))
""")
"""The views of the schema that read a relation or one column of it, directly or by way of other views."""


def refresh_views(connection: Connection, schema: str) -> None:
    """Create the views that are missing or have changed; one that views or readers of others use stays."""
    if not _stale(connection):
        return
    lock_schema(connection, schema)
    for view in _stale(connection):
        try:
            with connection.begin_nested():
                execute(connection, f"SET LOCAL lock_timeout TO '{LOCK_TIMEOUT}'")  # readers may use the view
                _replace(connection, view)
        except DBAPIError as error:
            log.warning("The view %s stays as it is: %s", view.name, str(error.orig).splitlines()[0])


def drop_views(connection: Connection, columns: Collection[tuple[str, str]]) -> list[str]:
    """Drop the views that read one of the columns, given as table and name, which is about to change.

    `refresh_views` creates them again. Returns the statements that grant their privileges again.
    """
    readers = [name for table, column in columns for name in _readers(connection, table, column)]
    return _drop(connection, [view for view in _all_views() if view.name in readers])


def _replace(connection: Connection, view: View) -> None:
    """Create or replace the view; one whose new columns do not all come last is dropped first."""
    try:
        with connection.begin_nested():
            execute(connection, _definition(view))
    except DBAPIError as error:
        if sqlstate(error) != _OTHER_COLUMNS:
            raise
        readers = {view.name, *_readers(connection, view.name)}
        dropped = [each for each in _all_views() if each.name in readers]
        grants = _drop(connection, dropped)
        for statement in (*map(_definition, dropped), *grants):
            execute(connection, statement)


def _drop(connection: Connection, dropped: list[View]) -> list[str]:
    """Drop views, the last first; returns the statements that grant their privileges again."""
    grants = [grant for view in dropped for grant in _grants(connection, view.name)]
    for view in reversed(dropped):
        execute(connection, f"DROP VIEW {quoted(view.name)}")
    return grants


def _readers(connection: Connection, name: str, column: str | None = None) -> list[str]:
    return list(connection.scalars(_READERS, {"name": quoted(name), "column": column}))


def _grants(connection: Connection, name: str) -> list[str]:
    """The statements that grant the privileges on a view again, once it is dropped and created."""
    query = (
        "SELECT format('GRANT %s ON %I TO %s%s', privilege_type, relname,"
        " CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END,"
        " CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)"
        " FROM pg_class, aclexplode(relacl) WHERE pg_class.oid = to_regclass(:name) AND grantee <> relowner"
    )
    return list(connection.scalars(text(query), {"name": quoted(name)}))


def _stale(connection: Connection) -> list[View]:
    """The views whose comments do not name their definition; not those whose tables lack columns."""
    query = text(
        "SELECT relname, obj_description(oid, 'pg_class') FROM pg_class"
        " WHERE relkind = 'v' AND relnamespace = to_regnamespace(quote_ident(current_schema()))"
    )
    comments = {row[0]: row[1] for row in connection.execute(query)}
    stale = [view for view in _all_views() if comments.get(view.name) != _comment(view)]
    if not stale:
        return []
    columns = {table.name: {column.name for column in table.columns} for table in all_tables()}
    columns[ZONES] = {"location_id"}
    tables = [name for name, needed in columns.items() if needed <= columns_of(connection, name).keys()]
    creatable = readable(_all_views(), tables)
    return [view for view in stale if view in creatable]


def _all_views() -> list[View]:
    return views(quoted, DIALECT)


def _definition(view: View) -> str:
    name = quoted(view.name)
    return (
        f"CREATE OR REPLACE VIEW {name} AS {view.query};\nCOMMENT ON VIEW {name} IS {literal(_comment(view))}"
    )


def _comment(view: View) -> str:
    return f"{view.description} (Definition {view.fingerprint}.)"
