"""The views: created where they are missing, and replaced once their definition has changed."""

from __future__ import annotations

import functools
import logging
from collections.abc import Collection

from sqlalchemy import text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from nyc_taxi.load.postgres.client import execute
from nyc_taxi.load.postgres.errors import sqlstate
from nyc_taxi.load.postgres.locks import LOCK_TIMEOUT
from nyc_taxi.load.postgres.tables import columns_of, lock_schema
from nyc_taxi.load.views.definitions import (
    OLDER_VIEWS,
    ZONES,
    Dialect,
    View,
    readable,
    views,
    warn_of_foreign,
)
from nyc_taxi.schema.sql import POSTGRES_TYPES, literal, quoted
from nyc_taxi.schema.tables import all_tables

log = logging.getLogger(__name__)

DIALECT = Dialect(
    POSTGRES_TYPES,
    cell=lambda key: f"CAST(raw AS json) ->> {literal(key)}",
    minutes="CAST(EXTRACT(EPOCH FROM dropoff_datetime - pickup_datetime) AS double precision) / 60",
)

_OLDER_VIEWS = OLDER_VIEWS - {"taxi_trips", "daily_revenue_by_zone"}  # which Postgres did not have

_OTHER_COLUMNS = "42P16"
"""SQLSTATE of CREATE OR REPLACE VIEW where the view has other columns than the first ones of the new text."""

_Existing = dict[str, tuple[str, str | None]]
"""Kind and comment of relations by name."""

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


def stale_views(connection: Connection) -> list[str]:
    """The names of the views that are missing or have changed, each after those it reads."""
    existing = _existing(connection)
    for name in _foreign(existing):
        warn_of_foreign(name, "Postgres")
    return [view.name for view in _stale(connection, existing)]


def refresh_view(connection: Connection, schema: str, name: str) -> None:
    """Create or replace a view; one that views or readers of others use stays.

    Readers of the view wait until the end of the transaction, which should change nothing else.
    """
    lock_schema(connection, schema)
    for view in _stale(connection, _existing(connection)):
        if view.name != name:
            continue
        try:
            with connection.begin_nested():
                execute(connection, f"SET LOCAL lock_timeout TO '{LOCK_TIMEOUT}'")  # readers may use the view
                _replace(connection, view)
        except DBAPIError as error:
            log.warning("The view %s stays as it is: %s", view.name, str(error.orig).splitlines()[0])


def create_views(connection: Connection) -> None:
    """Create the views that are missing; for use where `lock_schema` holds."""
    existing = _existing(connection)
    for view in _stale(connection, existing):
        if view.name not in existing:
            execute(connection, _definition(view))


def drop_views(connection: Connection, columns: Collection[tuple[str, str]]) -> list[str]:
    """Drop the views that read one of the columns, given as table and name, which is about to change.

    `create_views` creates them again. Returns the statements that grant their privileges again.
    """
    readers = [name for table, column in columns for name in _readers(connection, table, column)]
    return _drop(connection, [view for view in _own_views(_existing(connection)) if view.name in readers])


def _replace(connection: Connection, view: View) -> None:
    """Create or replace the view; one whose new columns do not all come last is dropped first."""
    try:
        with connection.begin_nested():
            execute(connection, _definition(view))
    except DBAPIError as error:
        if sqlstate(error) != _OTHER_COLUMNS:
            raise
        readers = {view.name, *_readers(connection, view.name)}
        dropped = [each for each in _own_views(_existing(connection)) if each.name in readers]
        grants = _drop(connection, dropped)
        for statement in (*map(_definition, dropped), *grants):
            execute(connection, statement)


def _drop(connection: Connection, dropped: list[View]) -> list[str]:
    """Drop views; returns the statements that grant their privileges again."""
    grants = [grant for view in dropped for grant in _grants(connection, view.name)]
    if dropped:  # in one statement with a timeout for all, as for tables: see lock_tables
        execute(connection, f"SET LOCAL statement_timeout TO '{LOCK_TIMEOUT}'")
        execute(connection, f"DROP VIEW {', '.join(quoted(view.name) for view in dropped)}")
        execute(connection, "SET LOCAL statement_timeout TO 0")
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


def _stale(connection: Connection, existing: _Existing) -> list[View]:
    """The views whose comments do not name their definition; not those whose tables lack columns."""
    own = _own_views(existing)
    stale = [view for view in own if existing.get(view.name) != ("v", view.comment)]
    if not stale:
        return []
    columns = {table.name: {column.name for column in table.columns} for table in all_tables()}
    columns[ZONES] = {"location_id"}
    tables = [name for name, needed in columns.items() if needed <= columns_of(connection, name).keys()]
    creatable = readable(own, tables)
    return [view for view in stale if view in creatable]


def _own_views(existing: _Existing) -> list[View]:
    """The views, without those whose name somebody else has taken."""
    foreign = _foreign(existing)
    return [view for view in _all_views() if view.name not in foreign]


def _foreign(existing: _Existing) -> list[str]:
    """The names of views that a table, or a view of somebody else, has taken."""
    foreign = []
    for view in _all_views():
        kind, comment = existing.get(view.name, ("v", view.comment))
        if kind != "v" or not (view.name in _OLDER_VIEWS or view.is_comment(comment)):
            foreign.append(view.name)
    return foreign


def _existing(connection: Connection) -> _Existing:
    """The schema's relations that have the name of a view."""
    query = text(
        "SELECT relname, CAST(relkind AS text), obj_description(oid, 'pg_class') FROM pg_class"
        " WHERE relnamespace = to_regnamespace(quote_ident(current_schema())) AND relname = ANY(:names)"
    )
    rows = connection.execute(query, {"names": [view.name for view in _all_views()]})
    return {row[0]: (row[1], row[2]) for row in rows}


@functools.cache
def _all_views() -> list[View]:
    return views(quoted, DIALECT)


def _definition(view: View) -> str:
    name = quoted(view.name)
    return (
        f"CREATE OR REPLACE VIEW {name} AS {view.query};\nCOMMENT ON VIEW {name} IS {literal(view.comment)}"
    )
