"""Which months are where: the ledgers of all destinations side by side, and any problems."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

from rich.table import Table

from nyc_taxi.errors import DestinationError, SourceError, TaxiError
from nyc_taxi.load.ledgers import read_ledgers
from nyc_taxi.load.registry import open_destination
from nyc_taxi.model.ledger import LedgerEntry
from nyc_taxi.model.months import Month, Service, expected_last
from nyc_taxi.pipelines.pending import compare_ledgers, is_outdated
from nyc_taxi.settings import Settings


@dataclass
class MonthStatus:
    """A month, what each destination holds of it, and any problems."""

    service: Service
    month: Month
    held: dict[str, LedgerEntry] = field(default_factory=dict)
    marks: list[str] = field(default_factory=list)
    """Problems; none if all destinations hold the same version, and the source's if that was checked."""
    notes: list[str] = field(default_factory=list)
    """What was done on purpose: deletions, and loads that were limited to some destinations."""
    deleted: dict[str, LedgerEntry] = field(default_factory=dict)
    """The deletions in force, by destination."""


def collect(
    destinations: list[str],
    settings: Settings,
    source: str | None = None,
    unanswered: list[TaxiError] | None = None,
) -> list[MonthStatus]:
    """Read every ledger and, if a source is given, what it publishes.

    With a source, months are looked for from each loaded service's first loaded month to the newest
    that TLC should have published. A destination or source that does not answer is left out and its error
    added to `unanswered`; without `unanswered`, the error is raised.
    """
    statuses: dict[tuple[Service, Month], MonthStatus] = {}
    unread: dict[str, DestinationError] = {}
    ledgers = read_ledgers(destinations, settings, deletions=True, unread=unread)
    errors: list[TaxiError] = [*unread.values()]
    for name, entries in ledgers.items():
        for entry in entries:
            new = MonthStatus(entry.service, entry.month)
            status = statuses.setdefault((entry.service, entry.month), new)
            (status.deleted if entry.is_deletion else status.held)[name] = entry
    for status in statuses.values():
        _explain_absences(status, [*ledgers])
        if any(row.is_sample for row in status.held.values()):
            status.marks.append("generated, not TLC's data")
        if len({row.version for row in status.held.values()}) > 1:
            status.marks.append("versions differ")
        if any(is_outdated(row, settings) for row in status.held.values()):
            status.marks.append("loaded with other rules or another transform: run it again")
    try:
        if source:
            _compare(statuses, source, ledgers, settings)
    except (SourceError, DestinationError) as error:
        errors.append(error)
    if unanswered is not None:
        unanswered += errors
    elif errors:
        raise errors[0]
    return [statuses[key] for key in sorted(statuses)]


def _compare(
    statuses: dict[tuple[Service, Month], MonthStatus],
    source: str,
    ledgers: dict[str, list[LedgerEntry]],
    settings: Settings,
) -> None:
    """Mark months that the source publishes and that are missing or held in an earlier version."""
    last = expected_last(dt.datetime.now(dt.UTC).date())
    for service in {service for service, _ in statuses}:
        first = min(month for known, month in statuses if known == service)
        for pending in compare_ledgers([service], first, last, source, ledgers, settings):
            status = statuses.setdefault((service, pending.month), MonthStatus(service, pending.month))
            if not status.held and not status.deleted:
                status.marks.append("missing: published but not loaded")
            elif "earlier version" in pending.why:
                status.marks.append("stale: the source has a newer version")


def _explain_absences(status: MonthStatus, destinations: list[str]) -> None:
    """Say why destinations do not hold the month: on purpose, or not."""
    status.notes += [f"deleted from {name}" for name in status.deleted]
    absent = [name for name in destinations if name not in status.held and name not in status.deleted]
    last = max(status.held.values(), key=lambda entry: entry.finished_at, default=None)
    if last and last.destinations and not {*absent} & {*last.destinations.split(",")}:
        status.notes += [f"not in {name}: loaded into {last.destinations} only" for name in absent]
    elif status.held:
        status.marks += [f"not in {name}" for name in absent]


def as_plain(months: list[MonthStatus]) -> list[dict[str, Any]]:
    """For JSON: one object a service and month."""
    return [
        {
            "service": status.service,
            "month": str(status.month),
            "marks": status.marks,
            "notes": status.notes,
            "destinations": {name: row.to_dict() for name, row in status.held.items()},
        }
        for status in months
    ]


COLUMNS = [
    *("service", "month", "destination", "trips", "quarantined", "version", "loaded_utc", "status", "source")
]
"""Of `by_destination`."""


def by_destination(months: list[MonthStatus]) -> list[dict[str, Any]]:
    """A row for each service, month and destination, the newest months first."""
    return [
        dict(zip(COLUMNS, values, strict=True))
        for status in reversed(months)
        for values in _rows(status, "; ".join(status.marks or _whole(status)))
    ]


def _whole(status: MonthStatus) -> list[str]:
    """What is said of a month without problems."""
    return ["current"] if status.held else status.notes


def _rows(status: MonthStatus, text: str) -> list[tuple[Any, ...]]:
    month = str(status.service), str(status.month)
    if not status.held:
        return [(*month, "", 0, 0, "", "", text, "")]
    return [
        (*month, name, *_counts(entry), f"{entry.finished_at:%Y-%m-%d %H:%M}", text, entry.source_url)
        for name, entry in status.held.items()
    ]


def _counts(entry: LedgerEntry) -> tuple[int, int, str]:
    return entry.rows_loaded, entry.rows_quarantined, entry.version


def table(months: list[MonthStatus]) -> Table:
    """For people: a line for each version that is held, and any problems."""
    shown = Table(
        title=None if months else "No month is loaded yet: try `taxi run green 2020-04`.", show_edge=False
    )
    for name in ("service", "month", "in"):
        shown.add_column(name, no_wrap=name != "in")
    for name in ("trips", "quarantined"):
        shown.add_column(name, no_wrap=True, justify="right")
    for name in ("version", "loaded (UTC)"):
        shown.add_column(name, no_wrap=True)
    shown.add_column("source", overflow="fold")
    shown.add_column("problems", style="yellow")
    for status in months:
        problems = "; ".join([*status.marks, *(f"[dim]{note}[/]" for note in status.notes)])
        if not status.held:
            shown.add_row(status.service, str(status.month), "", "", "", "", "", "", problems)
        for version in dict.fromkeys(row.version for row in status.held.values()):
            names = [name for name, row in status.held.items() if row.version == version]
            row = status.held[names[0]]
            counts = (f"{row.rows_loaded:,}", f"{row.rows_quarantined:,}")
            when = f"{row.finished_at:%Y-%m-%d %H:%M}"
            where = ", ".join(names)
            shown.add_row(
                status.service, str(status.month), where, *counts, version, when, row.source_url, problems
            )
    return shown


def history_of(
    service: Service, month: Month, destinations: list[str], settings: Settings
) -> list[tuple[str, LedgerEntry]]:
    """Every load and deletion of a month, with the name of its destination, in order of time."""
    loads = [
        (name, entry)
        for name in destinations
        for entry in open_destination(name, settings).history(service, month)
    ]
    return sorted(loads, key=lambda load: load[1].finished_at)


def history_table(loads: list[tuple[str, LedgerEntry]]) -> Table:
    """For people: a line for each load and deletion."""
    shown = Table(title=None if loads else "The month was never loaded.", show_edge=False)
    for name in ("time (UTC)", "action", "destination", "version"):
        shown.add_column(name, no_wrap=True)
    for name in ("trips", "quarantined"):
        shown.add_column(name, no_wrap=True, justify="right")
    for name in ("run", "source", "accepted"):
        shown.add_column(name, overflow="fold")
    for name, entry in loads:
        shown.add_row(
            f"{entry.finished_at:%Y-%m-%d %H:%M:%S}",
            entry.action,
            name,
            entry.version,
            f"{entry.rows_loaded:,}",
            f"{entry.rows_quarantined:,}",
            entry.run_id,
            entry.source_url,
            entry.accepted or "",
        )
    return shown
