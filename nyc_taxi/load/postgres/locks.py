"""Locks that readers may hold, taken in short attempts.

A session that waits for a lock holds up all that come after it. An attempt that fails gives its locks back
and lets the readers pass.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Collection, Iterator

from sqlalchemy import text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from nyc_taxi.errors import LockTimeout
from nyc_taxi.load.postgres.client import IDLE_TIMEOUT, execute, wait_for_client
from nyc_taxi.load.postgres.errors import DEADLOCK, LOCK_NOT_AVAILABLE, QUERY_CANCELED, sqlstate
from nyc_taxi.model.months import Month, Service
from nyc_taxi.retry import wait_for_others
from nyc_taxi.schema.sql import quoted

log = logging.getLogger(__name__)

MONTH_PATIENCE = "1h"
"""How long to wait for another run that loads the same month."""

LOCK_TIMEOUT = "1500ms"
"""The longest that an attempt holds readers up; autovacuum gives way after one second."""

ACCESS_EXCLUSIVE = "ACCESS EXCLUSIVE"

PATIENCE = 120.0
"""Seconds to wait in all for readers to leave the tables."""


def wait_for_turn(connection: Connection, schema: str, service: Service, month: Month) -> None:
    """Runs of the same month go one after the other; the lock ends with the transaction."""
    key = {"key": f"nyc_taxi {schema} {service} {month}"}
    if connection.scalar(text("SELECT pg_try_advisory_xact_lock(hashtextextended(:key, 0))"), key):
        return
    log.info("Another run is loading %s %s: waiting for it.", service, month)
    with _lock_timeout(
        f"another run has been loading {service} {month} for {MONTH_PATIENCE}: stop it or wait."
    ):
        execute(connection, f"SET LOCAL lock_timeout TO '{MONTH_PATIENCE}'")
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))"), key)


def in_short_attempts(
    connection: Connection, busy: str, work: Callable[[], None], patience: float = PATIENCE
) -> None:
    """Do the work in a savepoint, again while other sessions hold locks; then raises LockTimeout(busy)."""
    wait_for_client(connection, "0")  # between attempts no reader is held up
    for attempt in wait_for_others(LockTimeout, patience):
        with attempt, _lock_timeout(busy), connection.begin_nested():
            wait_for_client(connection, IDLE_TIMEOUT)  # until the transaction ends, as the locks
            execute(connection, f"SET LOCAL lock_timeout TO '{LOCK_TIMEOUT}'")
            work()


def lock_tables(connection: Connection, tables: Collection[str], mode: str = ACCESS_EXCLUSIVE) -> None:
    """Lock tables without their partitions; for use in short attempts.

    One statement with a timeout for all: lock_timeout counts for each lock anew, while readers wait behind
    the locks taken before.
    """
    if not tables:
        return
    names = ", ".join(f"ONLY {quoted(table)}" for table in tables)
    execute(connection, f"SET LOCAL statement_timeout TO '{LOCK_TIMEOUT}'")
    execute(connection, f"LOCK TABLE {names} IN {mode} MODE")
    execute(connection, "SET LOCAL statement_timeout TO 0")


@contextlib.contextmanager
def _lock_timeout(message: str) -> Iterator[None]:
    """Turn a lock conflict into a LockTimeout."""
    try:
        yield
    except DBAPIError as error:
        if sqlstate(error) in (LOCK_NOT_AVAILABLE, QUERY_CANCELED, DEADLOCK):
            raise LockTimeout(message) from None
        raise
