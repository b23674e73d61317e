"""Which months are due: published, and not yet held in that version by every destination.

TLC publishes about two months late and republishes at times; so a scheduled run does not load "last
month" but asks this.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from nyc_taxi.destinations import open_destination
from nyc_taxi.destinations.base import Recorded
from nyc_taxi.months import Month, Service, month_range
from nyc_taxi.source import Published, resolve


@dataclass(frozen=True)
class Due:
    """A month to be loaded, and the version that is published now."""

    service: Service
    month: Month
    published: Published
    why: str
    """`gcs does not hold it`, or `gcs holds an earlier version`."""


def due_months(
    services: Iterable[Service], first: Month, last: Month, source: str, destinations: Iterable[str]
) -> Iterator[Due]:
    """Compare what the source has with the ledgers, month by month from `first` to `last`.

    Costs one read of each ledger and one cheap question a month (a HEAD request, a stat). Raises
    SettingsError, SourceUnreachable and DestinationError.
    """
    where = resolve(source)
    ledgers = {
        name: {(row.service, row.month): row for row in open_destination(name).recorded()}
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


def _reason(destination: str, row: Recorded | None, published: Published) -> str | None:
    if row is None:
        return f"{destination} does not hold it"
    if row.source_url.startswith("sample:") and not published.url.startswith("sample:"):
        return f"{destination} holds a generated sample"
    return f"{destination} holds an earlier version" if _changed(row, published) else None


def _changed(row: Recorded, published: Published) -> bool:
    """Whether the place the month was loaded from has another version now.

    A month that somebody loaded from another place on purpose is left as it is. Without ETags the
    date decides; a month that turns out to be the same is then found so when it is loaded.
    """
    if row.source_url != published.url:
        return False
    if row.source_etag and published.etag:
        return row.source_etag != published.etag
    if not published.last_modified:
        return False
    changed = parsedate_to_datetime(published.last_modified)
    return changed.replace(tzinfo=changed.tzinfo or dt.UTC) > row.started_at
