"""One month in place of another: loaded beside it, then swapped in at once.

All of it is one transaction, so that whatever kills it (this process, the server, the network)
leaves the tables as they were and nothing behind. Readers wait only while the loaded tables are
swapped in, which takes milliseconds once the locks are granted; for the locks themselves it waits
in short attempts, since a session that waits for a lock holds up all that come after it.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
from collections.abc import Iterator

import pyarrow as pa
import stamina
from sqlalchemy import text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from nyc_taxi import __version__
from nyc_taxi.destinations.base import Progress, Recorded, Run
from nyc_taxi.destinations.postgres import ledger
from nyc_taxi.destinations.postgres.connection import execute
from nyc_taxi.destinations.postgres.copy import copy_batches, read_parquet
from nyc_taxi.destinations.postgres.failures import DEADLOCK, LOCK_NOT_AVAILABLE, Busy, sqlstate
from nyc_taxi.destinations.postgres.staging import Staged, stage
from nyc_taxi.destinations.postgres.swap import swap
from nyc_taxi.destinations.postgres.tables import quarantine_of, trips_of
from nyc_taxi.errors import DestinationError
from nyc_taxi.reference import MonthFiles
from nyc_taxi.schema import QUARANTINE, SCHEMA_VERSION, trip_columns

log = logging.getLogger(__name__)

MONTH_PATIENCE = "1h"
"""How long to wait for another run that loads the same month."""

LOCK_TIMEOUT = "2s"
"""The longest that an attempt to swap holds readers up; autovacuum gives way after one second."""


def replace_month(
    connection: Connection,
    schema: str,
    files: MonthFiles,
    run: Run,
    progress: Progress | None = None,
    patience: float = 120.0,
) -> Recorded:
    """Load the month and record it, or find that another run has just done so.

    `patience`: seconds to wait in all for readers to leave the tables. Raises Busy when they do not,
    DestinationError when the rows are not as many as the month says.
    """
    started = dt.datetime.now(dt.UTC)
    _wait_for_turn(connection, schema, files)
    recorded = ledger.current(connection, files.service, files.month)
    if recorded and recorded.version == files.version:
        return recorded
    staged = _stage(connection, files, progress)
    _replace_quality(connection, files)
    with _busy(
        f"others kept the {files.service} tables locked for {patience:.0f} s: run {files.month} again later."
    ):
        _swap(connection, staged, patience)
    recorded = Recorded(
        service=files.service,
        month=files.month,
        version=files.version,
        source_url=files.source.url,
        source_etag=files.source.etag,
        source_sha256=files.source.sha256,
        rows_in=files.rows_in,
        rows_loaded=files.trips,
        rows_quarantined=files.rows_quarantined,
        schema_version=SCHEMA_VERSION,
        package_version=__version__,
        started_at=started,
        finished_at=dt.datetime.now(dt.UTC),
        run_id=run.run_id,
        orchestrator=run.orchestrator,
    )
    ledger.add(connection, recorded)
    return recorded


def _wait_for_turn(connection: Connection, schema: str, files: MonthFiles) -> None:
    """Runs of the same month go one after the other; the lock ends with the transaction."""
    key = {"key": f"nyc_taxi {schema} {files.service} {files.month}"}
    if connection.scalar(text("SELECT pg_try_advisory_xact_lock(hashtextextended(:key, 0))"), key):
        return
    log.info("Another run loads %s %s: waiting for it.", files.service, files.month)
    with _busy(
        f"another run has been loading {files.service} {files.month} for {MONTH_PATIENCE}: end it or wait."
    ):
        execute(connection, f"SET LOCAL lock_timeout TO '{MONTH_PATIENCE}'")
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))"), key)


def _stage(connection: Connection, files: MonthFiles, progress: Progress | None) -> list[Staged]:
    """Load trips and quarantine; every row of the source must be in one of them."""
    done = 0

    def count(rows: int) -> None:
        nonlocal done
        done += rows
        if progress:
            progress(done, files.rows_in)

    service, month = files.service, files.month
    trips = stage(connection, trips_of(service), trip_columns(service), month, files.trips_path, count)
    quarantine = stage(connection, quarantine_of(service), QUARANTINE, month, files.quarantine_path, count)
    loaded = (trips.rows, quarantine.rows)
    if loaded != (files.trips, files.rows_quarantined) or sum(loaded) != files.rows_in:
        raise DestinationError(
            f"{files.folder}: holds {trips.rows:,} trips and {quarantine.rows:,} quarantined rows instead of"
            f" {files.trips:,} and {files.rows_quarantined:,}, in all {files.rows_in:,}: make it again."
        )
    return [trips, quarantine]


def _replace_quality(connection: Connection, files: MonthFiles) -> None:
    key = {"service": str(files.service), "month": files.month.first_day}
    connection.execute(text("DELETE FROM quality WHERE service = :service AND month = :month"), key)
    schema, batches = read_parquet(files.quality_path)
    keyed = pa.schema([pa.field("service", pa.string()), pa.field("month", pa.date32()), *schema])

    def with_key(batch: pa.RecordBatch) -> pa.RecordBatch:
        keys = [
            pa.repeat(pa.scalar(value, keyed.field(name).type), len(batch)) for name, value in key.items()
        ]
        return pa.RecordBatch.from_arrays([*keys, *batch.columns], schema=keyed)

    copy_batches(connection, "quality", keyed, map(with_key, batches))


def _swap(connection: Connection, staged: list[Staged], patience: float) -> None:
    """Swap all tables in, in short attempts: one that fails gives its locks back and lets readers pass."""
    for attempt in stamina.retry_context(
        on=_lock_was_taken, attempts=None, timeout=patience, wait_initial=1, wait_max=10
    ):
        with attempt, connection.begin_nested():
            execute(connection, f"SET LOCAL lock_timeout TO '{LOCK_TIMEOUT}'")
            for table in staged:
                swap(connection, table)


def _lock_was_taken(error: Exception) -> bool:
    return sqlstate(error) in (LOCK_NOT_AVAILABLE, DEADLOCK)


@contextlib.contextmanager
def _busy(message: str) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        if _lock_was_taken(error):
            raise Busy(message) from error
        raise
