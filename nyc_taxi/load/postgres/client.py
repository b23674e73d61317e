"""One transaction on the target: everything here happens in one, whole or not at all."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator

from sqlalchemy import create_engine

# SQLAlchemy 1.4, which Airflow 2 has, knows them here
from sqlalchemy.engine import URL, Connection, CursorResult, Engine
from sqlalchemy.pool import NullPool

from nyc_taxi.load.postgres.config import PostgresConfig
from nyc_taxi.load.postgres.errors import translate_errors
from nyc_taxi.schema.sql import quoted

SESSION = """
SET LOCAL search_path TO {schema};
SET LOCAL TimeZone TO 'UTC';
-- a month takes as long as it takes
SET LOCAL statement_timeout TO 0;
-- a stopped client loses its transaction, and readers get the locks that it held
SET LOCAL idle_in_transaction_session_timeout TO '{idle}';
-- a client whose machine is gone is noticed in two minutes, not in two hours, and its locks are freed
SET LOCAL tcp_keepalives_idle TO 60;
SET LOCAL tcp_keepalives_interval TO 15;
SET LOCAL tcp_keepalives_count TO 4;
"""


IDLE_TIMEOUT = "3s"
"""How long a transaction waits for the client's next statement before the server ends it."""


@contextlib.contextmanager
def transaction(config: PostgresConfig) -> Iterator[Connection]:
    """A connection inside a transaction whose unqualified names are looked up in the config's schema.

    Nothing outlives the transaction (no session state, no session locks), so that a pooler in
    transaction mode may stand between. Raises DestinationError or DestinationUnreachable.
    """
    with translate_errors(config), _engine(config).begin() as connection:
        execute(connection, SESSION.format(schema=quoted(config.schema), idle=IDLE_TIMEOUT))
        yield connection


@functools.lru_cache(maxsize=8)  # a new engine would ask the server for its version again
def _engine(config: PostgresConfig) -> Engine:
    options: dict[str, object] = {
        "connect_timeout": max(2, round(config.retry.timeout)),  # libpq takes 1 for 2
        "application_name": "nyc_taxi",
        "sslmode": config.sslmode,
        "keepalives_idle": 60,
    }
    if config.sslrootcert:
        options["sslrootcert"] = config.sslrootcert
    url = URL.create(
        "postgresql+psycopg2",
        username=config.user,
        password=config.password or None,
        host=config.host,
        port=config.port,
        database=config.dbname,
    )
    return create_engine(
        url,
        poolclass=NullPool,
        connect_args=options,
        hide_parameters=True,
        use_native_hstore=False,  # every connection would look the type up
    )


def wait_for_client(connection: Connection, timeout: str) -> None:
    """Let the server wait so long for the next statement; "0" for any time, where no reader is held up."""
    execute(connection, f"SET LOCAL idle_in_transaction_session_timeout TO '{timeout}'")


def execute(connection: Connection, sql: str) -> CursorResult[tuple[object, ...]]:
    """Run SQL as it stands, without parameters: `%` and `:` mean themselves."""
    return connection.exec_driver_sql(sql, execution_options={"no_parameters": True})
