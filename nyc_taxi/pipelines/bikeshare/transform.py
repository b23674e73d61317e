"""The derived tables of a day: only the day's partitions are made anew, in one transaction."""

from __future__ import annotations

import datetime as dt
import hashlib
import logging
from collections.abc import Mapping

from nyc_taxi.errors import DestinationError
from nyc_taxi.load.contract import Run
from nyc_taxi.pipelines.bikeshare import ledger
from nyc_taxi.pipelines.bikeshare.derived import DERIVED, LEDGER, Derived
from nyc_taxi.pipelines.bikeshare.warehouse.base import Entry, Test, Warehouse

log = logging.getLogger(__name__)


def transform_day(warehouse: Warehouse, day: dt.date, run: Run) -> list[Entry]:
    """Make the derived tables of the day from its raw tables; their ledger rows.

    A table that is not daily is made of the newest day, whichever day this is, so the order of days
    makes no difference. What was made of the same rows by the same SQL is left alone. Raises
    DestinationError when the day is not loaded or a test fails; nothing was changed then.
    """
    started = dt.datetime.now(dt.UTC)
    before = ledger.entries(warehouse)
    loaded = [entry.date for entry in before if entry.table_name == "raw_stations"]
    if day not in loaded:
        raise DestinationError(f"{warehouse.describe()}: {day} is not loaded; load it first.")
    days = {derived.table.name: day if derived.daily else max(loaded) for derived in DERIVED}
    stale = []
    for derived in DERIVED:
        of_day = ledger.by_table(before, days[derived.table.name])
        version, made = _version(derived, of_day), of_day.get(derived.table.name)
        if made is None or made.version != version:
            stale.append(_entry(derived, days[derived.table.name], version, started, run))
    if stale:
        warehouse.create([derived.table for derived in DERIVED])
        _replace(warehouse, stale, run)
    else:
        log.info("The warehouse holds the derived tables of %s already.", day)
    after = ledger.entries(warehouse) if stale else before
    return [ledger.by_table(after, made_of)[name] for name, made_of in days.items()]


def _version(derived: Derived, entries: Mapping[str, Entry]) -> str:
    """Names the content: the rows it is made of, and the SQL."""
    parts = [derived.query, *(entries[f"raw_{name}"].version for name in derived.inputs)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def _entry(derived: Derived, day: dt.date, version: str, started: dt.datetime, run: Run) -> Entry:
    return Entry(
        table_name=derived.table.name,
        date=day,
        version=version,
        source=", ".join(f"raw_{name}" for name in derived.inputs),
        row_count=0,  # counted when it is made
        counts="{}",
        started_at=started,
        finished_at=dt.datetime.now(dt.UTC),
        run_id=run.run_id,
        orchestrator=run.orchestrator,
    )


def _replace(warehouse: Warehouse, entries: list[Entry], run: Run) -> None:
    """Make the tables of these entries, each after those it reads."""
    names = {derived.table.name: warehouse.qualified(derived.table.name) for derived in DERIVED}
    names |= {f"raw_{name}": warehouse.qualified(f"raw_{name}") for name in ("stations", "regions", "trips")}
    of_name = {derived.table.name: derived for derived in DERIVED}
    statements: list[str | Test] = []
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
            Test(derived.test.format(**names).replace("@day", day), derived.says),
        ]
        counted[entry.table_name] = f"(SELECT COUNT(*) FROM {rows})"
        if not derived.daily:  # what the ledger says of an earlier day is true no more
            statements.append(
                f"DELETE FROM {warehouse.qualified(LEDGER.name)} WHERE table_name = '{entry.table_name}'"
            )
    recorded, more = ledger.replace(warehouse, entries, counted)
    warehouse.transact([*statements, *recorded], {**values, **more}, run)
