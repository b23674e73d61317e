"""Which months are where: the ledgers of all destinations side by side."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from nyc_taxi import workspace
from nyc_taxi.destinations import open_destination, parse_names
from nyc_taxi.destinations.base import Recorded
from nyc_taxi.errors import TaxiError
from nyc_taxi.months import Month, Service
from nyc_taxi.parquet import read_month
from nyc_taxi.reference import MonthFiles
from nyc_taxi.settings import settings

Months = dict[tuple[Service, Month], dict[str, Recorded]]
"""The ledger's current row by destination, for each service and month."""


def collect() -> Months:
    """Ask every configured destination."""
    months: Months = {}
    for name in parse_names(settings().destinations):
        for row in open_destination(name).recorded():
            months.setdefault((row.service, row.month), {})[name] = row
    return dict(sorted(months.items()))


def as_plain(months: Months) -> list[dict[str, Any]]:
    """For JSON: one object a service, month and destination."""
    return [
        {
            "destination": name,
            **{
                key: value if isinstance(value, int | None) else str(value)
                for key, value in vars(row).items()
            },
        }
        for held in months.values()
        for name, row in held.items()
    ]


def table(months: Months) -> Table:
    """For people."""
    shown = Table(
        title=None if months else "No month is loaded yet: try `taxi run green 2020-04`.", show_edge=False
    )
    for name in ("service", "month", "destination"):
        shown.add_column(name, no_wrap=True)
    for name in ("trips", "quarantined"):
        shown.add_column(name, no_wrap=True, justify="right")
    for name in ("version", "loaded (UTC)"):
        shown.add_column(name, no_wrap=True)
    shown.add_column("source", overflow="fold")
    for (service, month), held in months.items():
        for name, row in held.items():
            counts = (f"{row.rows_loaded:,}", f"{row.rows_quarantined:,}")
            finished = f"{row.finished_at:%Y-%m-%d %H:%M}"
            shown.add_row(service, str(month), name, *counts, row.version, finished, row.source_url)
    return shown


def newest_files(service: Service, month: Month) -> MonthFiles:
    """The Parquet of a month that was written last; raises TaxiError when there is none."""
    folders = sorted(
        workspace.month_folder(service, month).glob("version=*"), key=lambda f: f.stat().st_mtime
    )
    for folder in reversed(folders):
        files = read_month(folder)
        if files is not None:
            return files
    raise TaxiError(
        f"{service} {month} is not in the workspace {settings().workspace}:"
        f" run `taxi run {service} {month}` first."
    )
