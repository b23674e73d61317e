"""Pending months: published, but not yet loaded in that version into every destination.

TLC publishes about two months late and sometimes republishes. A scheduled run therefore does not load
"last month" but all pending months.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from nyc_taxi.extract.candidates import Published
from nyc_taxi.extract.sources import resolve
from nyc_taxi.lake.lake import Lake
from nyc_taxi.load.ledgers import read_ledgers
from nyc_taxi.model.ledger import LedgerEntry
from nyc_taxi.model.months import Month, Service, expected_last, month_range
from nyc_taxi.model.references import is_sample
from nyc_taxi.settings import Settings
from nyc_taxi.transform.rules import read_rules
from nyc_taxi.transform.user.source import load_transform
from nyc_taxi.transform.version import version_of

LOOK_BACK = 6
"""Number of months to look back by default."""


@dataclass(frozen=True)
class PendingMonth:
    """A month to load, and its published version."""

    service: Service
    month: Month
    published: Published
    why: str
    """The reason, such as `gcs does not hold it` or `gcs holds an earlier version`."""


def months_to_check(day: dt.date, since: Month | None = None) -> tuple[Month, Month]:
    """Return the first and last month that may be pending on a day; TLC may publish a month early."""
    last = expected_last(day) + 1
    return since or last - LOOK_BACK, last


def newest_published(service: Service, expected: Month, source: str, settings: Settings) -> Month:
    """Return the newest published month, from `expected` back to two months before it.

    TLC sometimes takes three months instead of two. If none is published, returns `expected`, whose download
    then reports the problem. Raises SettingsError and SourceUnreachable.
    """
    candidates = (expected - late for late in range(3))
    published = resolve(source, settings).published
    return next((month for month in candidates if published(service, month)), expected)


def pending_months(
    services: Iterable[Service],
    first: Month,
    last: Month,
    source: str,
    destinations: Iterable[str],
    settings: Settings,
) -> Iterator[PendingMonth]:
    """Compare what the source publishes with the ledgers, month by month from `first` to `last`.

    A month deleted from a destination on purpose is not pending there. Reads each ledger once and
    makes one HEAD request (or stat) per month. Raises SettingsError, SourceUnreachable and DestinationError.
    """
    ledgers = read_ledgers(destinations, settings, deletions=True)
    yield from compare_ledgers(services, first, last, source, ledgers, settings)


def compare_ledgers(
    services: Iterable[Service],
    first: Month,
    last: Month,
    source: str,
    ledgers: Mapping[str, Iterable[LedgerEntry]],
    settings: Settings,
) -> Iterator[PendingMonth]:
    """Yield the pending months, as `pending_months`, of ledgers that were read with their deletions."""
    publications, lake = resolve(source, settings), Lake(settings)
    rows = {
        name: {(entry.service, entry.month): entry for entry in entries} for name, entries in ledgers.items()
    }
    for service in services:
        for month in month_range(max(first, service.first_month), last):
            published = publications.published(service, month)
            if published is None:
                continue
            reasons = [
                reason
                for name, ledger in rows.items()
                if (reason := _reason(name, ledger.get((service, month)), published, lake, settings))
            ]
            if reasons:
                yield PendingMonth(service, month, published, "; ".join(reasons))


def is_outdated(entry: LedgerEntry, settings: Settings) -> bool:
    """Return whether rules, transform or code have changed since, and with them the version."""
    rules, transform = read_rules(settings.rules, entry.service), load_transform(settings.transform)
    return entry.version != version_of(entry.service, entry.month, entry.source_sha256, rules, transform)


def _reason(
    destination: str, row: LedgerEntry | None, published: Published, lake: Lake, settings: Settings
) -> str | None:
    if row is None:
        return f"{destination} does not hold it"
    if row.is_deletion:
        return None
    if row.is_sample and not is_sample(published.url):
        return f"{destination} holds a generated sample"
    if row.source_url != published.url:
        return None  # loaded from another source on purpose
    if _changed(row, published) and not _same_bytes(row, published, lake):
        return f"{destination} holds an earlier version"
    return (
        f"{destination} holds it with other rules or another transform"
        if is_outdated(row, settings)
        else None
    )


def _changed(row: LedgerEntry, published: Published) -> bool:
    """Return whether the month's source has another version now, by ETag or else by date."""
    if row.source_etag and published.etag:
        return row.source_etag != published.etag
    if not published.last_modified:
        return False
    changed = parsedate_to_datetime(published.last_modified)
    return changed.replace(tzinfo=changed.tzinfo or dt.UTC) > row.started_at


def _same_bytes(row: LedgerEntry, published: Published, lake: Lake) -> bool:
    """Return whether only ETag and date changed, according to the raw file of this publication."""
    file = lake.raw.find(row.service, row.month, published)
    return file is not None and file.sha256 == row.source_sha256
