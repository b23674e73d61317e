"""One month deleted: its partitions and quality in one transaction with the ledger entry."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.engine import Connection

from nyc_taxi.load.contract import deletion
from nyc_taxi.load.postgres import ledger
from nyc_taxi.load.postgres.client import execute
from nyc_taxi.load.postgres.locks import in_short_attempts, lock_tables, wait_for_turn
from nyc_taxi.load.postgres.swap import is_partition
from nyc_taxi.load.postgres.tables import partition_of
from nyc_taxi.model.ledger import LedgerEntry
from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.run import Run
from nyc_taxi.schema import tables
from nyc_taxi.schema.sql import quoted


def delete_month(
    connection: Connection, schema: str, service: Service, month: Month, run: Run
) -> LedgerEntry | None:
    """Delete the month and record that; None if it is not held. Raises LockTimeout if readers stay."""
    wait_for_turn(connection, schema, service, month)
    held = ledger.current(connection, service, month)
    if held is None:
        return None
    key = {"service": str(service), "month": month.first_day}
    connection.execute(text("DELETE FROM quality WHERE service = :service AND month = :month"), key)

    def drop() -> None:
        parents = [tables.trips(service).name, tables.quarantine(service).name]
        partitions = [
            partition_of(table, month) for table in parents if is_partition(connection, table, month)
        ]
        lock_tables(connection, [*parents, *partitions])
        for partition in partitions:
            execute(connection, f"DROP TABLE {quoted(partition)}")

    busy = f"other sessions hold locks on the {service} tables: delete {month} again later."
    in_short_attempts(connection, busy, drop)
    entry = deletion(held, run)
    ledger.add(connection, entry)
    return entry
