"""Plausibility: refuse to replace a good month by the file of another month, or by part of a file.

A version is implausible when too many of its rows are quarantined, or when it has far fewer trips than the
version that it would replace or than the service's neighbouring months. TAXI_MAX_QUARANTINED and
TAXI_MIN_TRIPS are the thresholds. Generated months are exempt.
"""

from __future__ import annotations

import datetime as dt
import logging
import statistics
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from nyc_taxi.errors import DestinationError, Implausible
from nyc_taxi.load.ledgers import read_ledgers
from nyc_taxi.load.registry import open_destination
from nyc_taxi.model.ledger import LedgerEntry
from nyc_taxi.model.months import Month
from nyc_taxi.model.references import CleanMonth
from nyc_taxi.model.run import RunContext
from nyc_taxi.settings import Settings

log = logging.getLogger(__name__)

NEIGHBOURS = 3
"""Number of months before and after a month to compare it with."""

FIRST_MONTHS = 3
"""Number of first months of a service, whose growth makes comparison with later months meaningless."""

REAL_DROPS = {
    "fhv": [(Month(2019, 2), Month(2019, 4))],  # Uber, Lyft and Via move to fhvhv: 23 million trips, then 1.7
    "": [(Month(2020, 3), Month(2020, 6))],  # the pandemic: green falls from 398,632 in February to 35,612
}
"""Periods (first and last month) in which a service (for "", every service) lost most of its trips."""


def review(
    month: CleanMonth,
    destinations: Iterable[str],
    context: RunContext,
    *,
    accept: bool,
    unread: dict[str, DestinationError] | None = None,
) -> RunContext:
    """Check a month before it is loaded; raises Implausible unless `accept` is set.

    Returns the context for loading, whose run records what was accepted. Skips destinations that already
    hold this version. The error of a destination with an unreadable ledger is added to `unread`, for a
    review when it is loaded; without `unread` it is raised.
    """
    if month.source.is_sample:
        return context
    around = [(month.service, month.month + step) for step in range(-NEIGHBOURS, NEIGHBOURS + 1)]
    ledgers = read_ledgers(destinations, context.settings, around, unread=unread)
    reason = find_fault(month, ledgers, context.settings)
    if reason is None:
        return context
    pending = _pending(month, ledgers)
    if not accept and not all(_was_accepted(month, name, context.settings) for name in pending):
        raise Implausible(
            f"{month}: {reason}. Nothing was loaded. If the file is right, load it once with --accept"
            " (in Mage and Airflow: accept = true)."
        )
    log.warning("%s: %s. Loading it because it was accepted.", month, reason)
    return replace(context, run=replace(context.run, accepted=reason))


def find_fault(month: CleanMonth, ledgers: dict[str, list[LedgerEntry]], settings: Settings) -> str | None:
    """Compare a month with the ledgers; returns why it is implausible, or None."""
    pending = _pending(month, ledgers)
    if not pending:
        return None
    if fault := _quarantine_fault(month, settings.max_quarantined):
        return fault
    faults = (_size_fault(month, name, entries, settings.min_trips) for name, entries in pending.items())
    return next(filter(None, faults), None)


def _pending(month: CleanMonth, ledgers: dict[str, list[LedgerEntry]]) -> dict[str, list[LedgerEntry]]:
    """Return the ledgers without this version of the month."""
    this = (month.month, month.service, month.version)
    return {
        name: entries
        for name, entries in ledgers.items()
        if all((each.month, each.service, each.version) != this for each in entries)
    }


def _was_accepted(month: CleanMonth, name: str, settings: Settings) -> bool:
    """Return whether this version, now damaged in its bucket, was accepted when last loaded."""
    history = open_destination(name, settings).history(month.service, month.month)
    return bool(history and history[-1].version == month.version and history[-1].accepted)


def _quarantine_fault(month: CleanMonth, limit: float) -> str | None:
    # dropped trips do not indicate a bad file; the number of remaining trips is checked in any case
    quarantined = Counter({name: rows for name, rows in month.quarantined.items() if name != month.transform})
    rows_quarantined = quarantined.total()
    share = rows_quarantined / max(month.rows_in, 1)
    if share <= limit:
        return None
    reasons = ", ".join(f"{name} {rows:,}" for name, rows in quarantined.most_common(3))
    fault = (
        f"{rows_quarantined:,} of {month.rows_in:,} rows ({share:.0%}) would be quarantined"
        f" ({reasons}), and TAXI_MAX_QUARANTINED is {limit:.0%}"
    )
    other = likely_month(month)
    return f"{fault}; this looks like {month.service} {other}" if other and other != month.month else fault


def _size_fault(month: CleanMonth, name: str, entries: list[LedgerEntry], share: float) -> str | None:
    real = {each.month: each for each in entries if each.service == month.service and not each.is_sample}
    held = real.get(month.month)
    if held and month.trips < held.rows_loaded * share:
        return (
            f"{month.trips:,} trips are less than {share:.0%} of the {held.rows_loaded:,} that {name} holds"
        )
    around = range(-NEIGHBOURS, NEIGHBOURS + 1)
    months = [number for step in around if step and (number := month.month + step) in real]
    if not months or _may_be_small(month):
        return None
    usual = statistics.median(real[number].rows_loaded for number in months)
    if month.trips >= usual * share:
        return None
    listed = ", ".join(map(str, months))
    return (
        f"{month.trips:,} trips are less than {share:.0%} of the usual {usual:,.0f}"
        f" (the median of {listed} in {name})"
    )


def _may_be_small(month: CleanMonth) -> bool:
    drops = [*REAL_DROPS[""], *REAL_DROPS.get(month.service, [])]
    is_first = month.month < month.service.first_month + FIRST_MONTHS
    return is_first or any(first <= month.month <= last for first, last in drops)


def likely_month(month: CleanMonth) -> Month | None:
    """Return the month of most staged pick-ups; None if no month has a majority or the rows are gone."""
    if month.local is None:
        return None
    import pyarrow as pa
    import pyarrow.compute as pc

    counts: Counter[dt.date] = Counter()
    try:
        with pa.OSFile(str(month.local / "rows.arrow")) as file:
            schema = pa.ipc.open_stream(file).schema
            options = pa.ipc.IpcReadOptions(included_fields=[schema.get_field_index("pickup_datetime")])
            file.seek(0)
            for batch in pa.ipc.open_stream(file, options=options):
                starts = pc.floor_temporal(batch["pickup_datetime"], unit="month").value_counts()
                counts.update({row["values"]: row["counts"] for row in starts.to_pylist() if row["values"]})
    except FileNotFoundError:
        return None
    for first_day, rows in counts.most_common(1):
        if rows > month.rows_in / 2 and first_day.year >= month.service.first_month.year:
            return Month.of(first_day)
    return None
