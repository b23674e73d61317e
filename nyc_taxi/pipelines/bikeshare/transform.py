"""Compute the derived tables of a day: replaces only the day's partitions, in one transaction."""

from __future__ import annotations

import datetime as dt
import hashlib
import logging
from collections.abc import Mapping

from nyc_taxi.errors import DestinationError
from nyc_taxi.load.warehouse.engine import Assertion, Engine, Statement, retry_load
from nyc_taxi.model.run import Run
from nyc_taxi.pipelines.bikeshare import ledger
from nyc_taxi.pipelines.bikeshare.config import BikeshareConfig
from nyc_taxi.pipelines.bikeshare.derived import DERIVED, LEDGER, Derived
from nyc_taxi.pipelines.bikeshare.ledger import Entry
from nyc_taxi.retry import RetryPolicy

log = logging.getLogger(__name__)


def transform_day(config: BikeshareConfig, warehouse: Engine, day: dt.date, run: Run) -> list[Entry]:
    """Compute the day's derived tables from its raw tables; returns their ledger entries.

    A table that is not daily is always computed from the newest day, so that the order of days does not
    matter. A table already computed from the same rows by the same SQL is left unchanged. Raises
    DestinationError if the day is not loaded or an assertion fails; the tables are then unchanged.
    """
    started = dt.datetime.now(dt.UTC)
    return retry_load(RetryPolicy.of(config.settings), lambda: _transform_day(warehouse, day, run, started))


def _transform_day(warehouse: Engine, day: dt.date, run: Run, started: dt.datetime) -> list[Entry]:
    entries = ledger.entries(warehouse)
    loaded = [entry.date for entry in entries if entry.table_name == "raw_stations"]
    if day not in loaded:
        raise DestinationError(f"{warehouse.describe()}: {day} is not loaded; load it first.")
    days = {derived.table.name: day if derived.daily else max(loaded) for derived in DERIVED}
    stale = []
    for derived in DERIVED:
        name = derived.table.name
        recorded = ledger.by_table(entries, days[name])
        version = _version(derived, recorded)
        if name not in recorded or recorded[name].version != version:
            stale.append(_entry(derived, days[name], version, started, run))
    if stale:
        warehouse.create([derived.table for derived in DERIVED])
        _replace(warehouse, day, stale, run)
        entries = ledger.entries(warehouse)
    else:
        log.info("The warehouse already holds the derived tables of %s.", day)
    return [ledger.by_table(entries, date)[name] for name, date in days.items()]


def _version(derived: Derived, entries: Mapping[str, Entry]) -> str:
    """Return an identifier of the content: its input rows and the SQL."""
    parts = [derived.query, *(entries[f"raw_{name}"].version for name in derived.inputs)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def _entry(derived: Derived, day: dt.date, version: str, started: dt.datetime, run: Run) -> Entry:
    return Entry(
        table_name=derived.table.name,
        date=day,
        version=version,
        source=", ".join(f"raw_{name}" for name in derived.inputs),
        row_count=0,  # set within the transaction
        counts="{}",
        started_at=started,
        finished_at=dt.datetime.now(dt.UTC),
        run_id=run.run_id,
        orchestrator=run.orchestrator,
    )


def _replace(warehouse: Engine, day_of_run: dt.date, entries: list[Entry], run: Run) -> None:
    """Compute the tables of these entries, in dependency order."""
    names = {derived.table.name: warehouse.qualified(derived.table.name) for derived in DERIVED}
    names |= {f"raw_{name}": warehouse.qualified(f"raw_{name}") for name in ("stations", "regions", "trips")}
    of_name = {derived.table.name: derived for derived in DERIVED}
    statements: list[Statement] = []
    values: dict[str, object] = {}
    counted = {}
    for entry in entries:
        derived = of_name[entry.table_name]
        day = f"@day_of_{entry.table_name}"
        values[day[1:]] = entry.date
        columns = ", ".join(column.name for column in (*derived.table.keys, *derived.table.columns))
        rows = f"{names[entry.table_name]} WHERE {f'date = {day}' if derived.daily else 'TRUE'}"
        statements += [
            f"DELETE FROM {rows}",
            f"INSERT INTO {names[entry.table_name]} ({columns})\n"
            f"SELECT {columns} FROM (\n{derived.query.format(**names).replace('@day', day)}\n)",
            Assertion(derived.condition.format(**names).replace("@day", day), derived.message),
        ]
        counted[entry.table_name] = f"(SELECT COUNT(*) FROM {rows})"
        if not derived.daily:  # entries of an earlier day are obsolete
            statements.append(
                f"DELETE FROM {warehouse.qualified(LEDGER.name)} WHERE table_name = '{entry.table_name}'"
            )
    ledger_statements, ledger_values = ledger.replace(warehouse, entries, counted)
    name = f"{day_of_run}-transform-{ledger.digest(entries)}"
    warehouse.transact([*statements, *ledger_statements], {**values, **ledger_values}, run, name)
