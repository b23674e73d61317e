"""Which months are due: published, and not yet held in that version by every destination.

TLC publishes about two months late and republishes at times; so a scheduled run does not load "last
month" but asks this.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from nyc_taxi.extract.candidates import Published
from nyc_taxi.extract.fetch import fetched_sha256
from nyc_taxi.extract.sources import resolve
from nyc_taxi.load.contract import LedgerEntry
from nyc_taxi.load.registry import open_destination
from nyc_taxi.model.months import Month, Service, expected_last, month_range
from nyc_taxi.model.references import is_sample
from nyc_taxi.settings import settings

LOOK_BACK = 6
"""Months that are looked at when nobody says since when."""


@dataclass(frozen=True)
class Due:
    """A month to be loaded, and the version that is published now."""

    service: Service
    month: Month
    published: Published
    why: str
    """`gcs does not hold it`, or `gcs holds an earlier version`."""


def months_to_look_at(day: dt.date, since: Month | None = None) -> tuple[Month, Month]:
    """The first and the last month that may be due on a day; TLC may be a month early."""
    last = expected_last(day) + 1
    return since or last - LOOK_BACK, last


def newest_published(service: Service, expected: Month, source: str) -> Month:
    """The newest month that is published, not newer than `expected` and at most two months older.

    TLC's two months are rather three at times. When none is there it is `expected`, whose download
    says what is amiss. Raises SettingsError and SourceUnreachable.
    """
    where = resolve(source)
    candidates = (expected - late for late in range(3))
    return next((month for month in candidates if where.published(service, month)), expected)


def due_months(
    services: Iterable[Service], first: Month, last: Month, source: str, destinations: Iterable[str]
) -> Iterator[Due]:
    """Compare what the source has with the ledgers, month by month from `first` to `last`.

    Costs one read of each ledger and one cheap question a month (a HEAD request, a stat). Raises
    SettingsError, SourceUnreachable and DestinationError.
    """
    where = resolve(source)
    ledgers = {
        name: {(row.service, row.month): row for row in open_destination(name).ledger_entries()}
        for name in destinations
    }
    for service in services:
        for month in month_range(max(first, service.first_month), last):
            published = where.published(service, month)
            if published is None:
                continue
            held = {name: ledger.get((service, month)) for name, ledger in ledgers.items()}
            reasons = [reason for name, row in held.items() if (reason := _reason(name, row, published))]
            if reasons:
                yield Due(service, month, published, "; ".join(reasons))


def _reason(destination: str, row: LedgerEntry | None, published: Published) -> str | None:
    if row is None:
        return f"{destination} does not hold it"
    if row.is_sample and not is_sample(published.url):
        return f"{destination} holds a generated sample"
    if _changed(row, published) and not _same_bytes(row, published):
        return f"{destination} holds an earlier version"
    return None


def _changed(row: LedgerEntry, published: Published) -> bool:
    """Whether the place the month was loaded from has another version now.

    A month that somebody loaded from another place on purpose is left as it is. Without ETags the
    date decides.
    """
    if row.source_url != published.url:
        return False
    if row.source_etag and published.etag:
        return row.source_etag != published.etag
    if not published.last_modified:
        return False
    changed = parsedate_to_datetime(published.last_modified)
    return changed.replace(tzinfo=changed.tzinfo or dt.UTC) > row.started_at


def _same_bytes(row: LedgerEntry, published: Published) -> bool:
    """Whether the change was one of name and date alone, as was found when it was downloaded."""
    return fetched_sha256(row.service, row.month, published, settings().workspace) == row.source_sha256
