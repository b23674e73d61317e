"""One month in place of another: loaded beside it, then swapped in at once.

All of it is one transaction, so that whatever kills it (this process, the server, the network)
leaves the tables as they were and nothing behind. Readers wait only while the loaded tables are
swapped in, which takes milliseconds once the locks are granted; for the locks themselves it waits
in short attempts, since a session that waits for a lock holds up all that come after it. If the
loader is stopped meanwhile, the server ends its transaction after IDLE_TIMEOUT and the load starts over.
"""

from __future__ import annotations

import datetime as dt
import logging

import pyarrow as pa
from sqlalchemy import text
from sqlalchemy.engine import Connection

from nyc_taxi.load.contract import Progress, check_counts, new_entry, refuse_sample
from nyc_taxi.load.postgres import ledger
from nyc_taxi.load.postgres.client import wait_for_client
from nyc_taxi.load.postgres.copy import copy_batches
from nyc_taxi.load.postgres.locks import PATIENCE, in_short_attempts, wait_for_turn
from nyc_taxi.load.postgres.staging import Staged, stage
from nyc_taxi.load.postgres.swap import lock, swap
from nyc_taxi.model.ledger import LedgerEntry
from nyc_taxi.model.references import MonthFiles
from nyc_taxi.model.run import Run
from nyc_taxi.schema import QUARANTINE, tables, trip_columns
from nyc_taxi.transform.refined import RefinedMonth, read_batches

log = logging.getLogger(__name__)


def replace_month(
    connection: Connection,
    schema: str,
    month: RefinedMonth,
    run: Run,
    progress: Progress | None = None,
    damaged: LedgerEntry | None = None,
    patience: float = PATIENCE,
) -> LedgerEntry:
    """Load the month and record it, or find that another run has just done so.

    `damaged`: an entry of this version whose rows are to be loaded again.

    `patience`: seconds to wait in all for readers to leave the tables. Raises LockTimeout when they do not,
    DestinationError when the rows are not as many as the month says.
    """
    started = dt.datetime.now(dt.UTC)
    summary = month.summary
    wait_for_turn(connection, schema, summary.service, summary.month)
    entry = ledger.current(connection, summary.service, summary.month)
    if entry and entry.version == summary.version and entry != damaged:
        return entry
    refuse_sample(summary, entry, "postgres")
    wait_for_client(connection, "0")  # batches may take time, and no reader waits for staged tables
    staged = _stage(connection, month, progress)
    files = month.files()
    _replace_quality(connection, files)
    busy = f"other sessions hold locks on the {files.service} tables: run {files.month} again later."
    _swap(connection, staged, busy, patience)
    entry = new_entry(files, run, started)
    ledger.add(connection, entry)
    return entry


def _stage(connection: Connection, month: RefinedMonth, progress: Progress | None) -> list[Staged]:
    """Load trips and quarantine; every row of the source must be in one of them."""
    done = 0

    def count(loaded: int) -> None:
        nonlocal done
        done += loaded
        if progress:
            progress(done, month.summary.rows_in)

    service, number = month.summary.service, month.summary.month
    trips = stage(
        connection,
        tables.trips(service).name,
        trip_columns(service),
        number,
        month.trips(),
        count,
        month.constants,
    )
    files = month.files()
    quarantined_rows = read_batches(files.quarantine_path)
    quarantine = stage(
        connection, tables.quarantine(service).name, QUARANTINE, number, quarantined_rows, count
    )
    check_counts(files, trips.rows, quarantine.rows)
    return [trips, quarantine]


def _replace_quality(connection: Connection, files: MonthFiles) -> None:
    key = {"service": str(files.service), "month": files.month.first_day}
    connection.execute(text("DELETE FROM quality WHERE service = :service AND month = :month"), key)
    schema, batches = read_batches(files.quality_path)
    keyed = pa.schema([pa.field("service", pa.string()), pa.field("month", pa.date32()), *schema])

    def with_key(batch: pa.RecordBatch) -> pa.RecordBatch:
        keys = [
            pa.repeat(pa.scalar(value, keyed.field(name).type), len(batch)) for name, value in key.items()
        ]
        return pa.RecordBatch.from_arrays([*keys, *batch.columns], schema=keyed)

    copy_batches(connection, "quality", keyed, map(with_key, batches))


def _swap(connection: Connection, staged: list[Staged], busy: str, patience: float) -> None:
    """Swap all tables in at once."""

    def swap_all() -> None:
        lock(connection, staged)
        for table in staged:
            swap(connection, table)

    in_short_attempts(connection, busy, swap_all, patience)
