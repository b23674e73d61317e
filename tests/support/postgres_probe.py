"""Access to test databases without the code under test."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812

from nyc_taxi.load.postgres.config import PostgresConfig
from nyc_taxi.local.postgres import Server, superuser_url
from nyc_taxi.model.run import Run

RUN = Run("run-1", "cli")


def admin_url(server: Server) -> str:
    """Return the URL of the embedded server's superuser, who creates databases and roles."""
    return superuser_url(server, "postgres")


def create_database(server: Server, name: str) -> None:
    """Create an empty database owned by the loader."""
    with contextlib.closing(psycopg2.connect(admin_url(server))) as connection:
        connection.autocommit = True
        connection.cursor().execute(f"CREATE DATABASE {name} OWNER {server.user}")


def drop_database(server: Server, name: str) -> None:
    """Remove a database and end its sessions.

    As the superuser, because one of the sessions may be an autovacuum worker, which the loader may not end.
    """
    with contextlib.closing(psycopg2.connect(admin_url(server))) as connection:
        connection.autocommit = True
        connection.cursor().execute(f"DROP DATABASE {name} WITH (FORCE)")


RELATIONS = """
    SELECT relname, relkind, relispartition FROM pg_class
    JOIN pg_namespace ON pg_namespace.oid = relnamespace AND nspname = 'taxi'
"""


@contextlib.contextmanager
def session(target: PostgresConfig, **options: Any) -> Iterator[Connection]:
    """Yield a separate connection in autocommit mode."""
    with contextlib.closing(
        psycopg2.connect(
            host=target.host,
            port=target.port,
            dbname=target.dbname,
            user=target.user,
            password=target.password,
            options="-c search_path=taxi",
            **options,
        )
    ) as connection:
        connection.autocommit = True
        yield connection


def ask(connection: Connection, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    """Return the rows of a query; empty for other statements."""
    with connection.cursor() as cursor:
        cursor.execute(sql, values or None)
        return cursor.fetchall() if cursor.description else []


def query(target: PostgresConfig, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    """Return the rows of a query on a separate connection."""
    with session(target) as connection:
        return ask(connection, sql, *values)


def state(target: PostgresConfig) -> dict[str, list[Any]]:
    """Return all relations of the schema, and all rows of its tables."""
    with session(target) as connection:
        relations = ask(connection, RELATIONS)
        tables = [name for name, kind, is_part in relations if kind in "rp" and not is_part]
        contents: dict[str, list[Any]] = {"relations": sorted(relations)}
        for table in tables:
            contents[table] = sorted(map(repr, ask(connection, f"SELECT * FROM {table}")))
        return contents


def waiting(target: PostgresConfig, locktype: str) -> int:
    """Return the number of sessions of this database that wait for a lock of the type."""
    sql = (
        "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)"
        " WHERE NOT granted AND locktype = %s AND datname = current_database()"
    )
    return int(query(target, sql, locktype)[0][0])
