"""How current each destination is, as gauges in Prometheus's text format, from the ledgers and the lake."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from nyc_taxi.files import replacing
from nyc_taxi.lake.lake import Lake
from nyc_taxi.load.ledgers import read_ledgers
from nyc_taxi.model.ledger import LedgerEntry
from nyc_taxi.model.months import Service, expected_last
from nyc_taxi.settings import Settings

HELP = {
    "taxi_months": "Months of TLC's that a destination holds",
    "taxi_months_behind": "Months from the newest that is loaded to the newest that TLC should have out",
    "taxi_newest_month_age_seconds": "Seconds since the newest month ended, in whole days",
    "taxi_newest_month_rows": "Rows of the newest month: trips, and those in the quarantine",
    "taxi_newest_month_quarantined_rows": "Rows of the newest month by the rule that quarantined them",
    "taxi_newest_month_load_seconds": "Seconds that the load of the newest month took",
    "taxi_last_load_timestamp_seconds": "When the last load ended, in seconds since 1970",
}
"""What each metric is, by name."""


@dataclass(frozen=True)
class Gauge:
    """A value at this moment."""

    name: str
    labels: dict[str, str]
    value: float

    def __str__(self) -> str:
        """A line of the text format."""
        labels = ",".join(f'{name}="{_escaped(value)}"' for name, value in self.labels.items())
        return f"{self.name}{{{labels}}} {self.value}"


def gauges(destinations: Iterable[str], settings: Settings, today: dt.date | None = None) -> list[Gauge]:
    """Read every ledger once, and the lake's manifests of the newest months.

    Generated months do not count. Raises what destinations raise.
    """
    today = today or dt.datetime.now(dt.UTC).date()
    entries = {
        name: [entry for entry in ledger if not entry.is_sample]
        for name, ledger in read_ledgers(destinations, settings).items()
    }
    newest: dict[Service, LedgerEntry] = {}
    result: list[Gauge] = []
    for name, ledger in entries.items():
        for service in sorted({entry.service for entry in ledger}):
            own = [entry for entry in ledger if entry.service == service]
            last = max(own, key=lambda entry: entry.month)
            result += _of_service(name, own, last, today)
            newest[service] = max(newest.get(service, last), last, key=lambda entry: entry.month)
    for entry in newest.values():
        result += _by_rule(entry, Lake(settings))
    return sorted(result, key=lambda gauge: list(HELP).index(gauge.name))


def _of_service(
    destination: str, entries: list[LedgerEntry], newest: LedgerEntry, today: dt.date
) -> Iterator[Gauge]:
    labels = {"destination": destination, "service": str(newest.service)}
    age = (today - newest.month.end.date()).total_seconds()
    yield Gauge("taxi_months", labels, len(entries))
    yield Gauge("taxi_months_behind", labels, max(0, expected_last(today).index - newest.month.index))
    yield Gauge("taxi_newest_month_age_seconds", labels, age)
    yield Gauge("taxi_newest_month_rows", {**labels, "kind": "trips"}, newest.rows_loaded)
    yield Gauge("taxi_newest_month_rows", {**labels, "kind": "quarantined"}, newest.rows_quarantined)
    seconds = (newest.finished_at - newest.started_at).total_seconds()
    yield Gauge("taxi_newest_month_load_seconds", labels, round(seconds, 3))
    last = max(entry.finished_at for entry in entries)
    yield Gauge("taxi_last_load_timestamp_seconds", labels, round(last.timestamp()))


def _by_rule(entry: LedgerEntry, lake: Lake) -> Iterator[Gauge]:
    files = lake.versions.find(entry.service, entry.month, entry.version)
    for rule, rows in (files.quarantined if files else {}).items():
        labels = {"service": str(entry.service), "rule": rule}
        yield Gauge("taxi_newest_month_quarantined_rows", labels, rows)


def as_text(values: Iterable[Gauge]) -> str:
    """Prometheus's text format; `values` are grouped by name."""
    lines: list[str] = []
    for gauge in values:
        if (header := f"# HELP {gauge.name} {HELP[gauge.name]}") not in lines:
            lines += [header, f"# TYPE {gauge.name} gauge"]
        lines.append(str(gauge))
    return "\n".join([*lines, ""])


def write(text: str, path: Path) -> None:
    """Write the file for a collector that may read it at any time: whole or not at all."""
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
