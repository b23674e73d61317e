"""The trips' ledger in a warehouse: which version of each month the tables hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nyc_taxi.load.warehouse.engine import Reader
from nyc_taxi.model.ledger import LEDGER_FIELDS, LedgerEntry
from nyc_taxi.model.months import Month, Service


def current(reader: Reader, service: Service, month: Month) -> LedgerEntry | None:
    """The load in force of a month; None when it was never loaded."""
    values = {"service": str(service), "month": month.first_day}
    entries = _select(reader, "ledger_current", "WHERE service = @service AND month = @month", values)
    return entries[0] if entries else None


def current_all(reader: Reader, deletions: bool = False) -> list[LedgerEntry]:
    """The load in force of every service and month, and, if asked for, the deletions in force."""
    if not deletions:
        return _select(reader, "ledger_current", "ORDER BY service, month", {})
    latest = "WHERE TRUE QUALIFY ROW_NUMBER() OVER (PARTITION BY service, month ORDER BY id DESC) = 1"
    return _select(reader, "ledger", f"{latest} ORDER BY service, month", {})


def history(reader: Reader, service: Service, month: Month) -> list[LedgerEntry]:
    """Every load of a month, the first one first."""
    values = {"service": str(service), "month": month.first_day}
    return _select(reader, "ledger", "WHERE service = @service AND month = @month ORDER BY id", values)


def last_of_version(reader: Reader, service: Service, month: Month, version: str) -> LedgerEntry | None:
    """The last load of a version, which a later load of another version may have replaced."""
    clause = "WHERE service = @service AND month = @month AND version = @version ORDER BY id DESC LIMIT 1"
    values = {"service": str(service), "month": month.first_day, "version": version}
    entries = _select(reader, "ledger", clause, values)
    return entries[0] if entries else None


def insert_statement(reader: Reader, finished_at: str = "@finished_at") -> str:
    """SQL that adds an entry, whose values are parameters; the ids grow."""
    name = reader.qualified("ledger")
    values = [finished_at if field == "finished_at" else f"@{field}" for field in LEDGER_FIELDS]
    return (
        f"INSERT INTO {name} (id, {', '.join(LEDGER_FIELDS)})"
        f" SELECT (SELECT COALESCE(MAX(id), 0) + 1 FROM {name}), {', '.join(values)}"
    )


def _select(reader: Reader, table: str, clause: str, values: Mapping[str, Any]) -> list[LedgerEntry]:
    query = f"SELECT * FROM {reader.qualified(table)} {clause}"  # older tables lack later columns
    return LedgerEntry.from_rows(reader.rows(query, values, optional=table))
