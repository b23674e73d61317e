"""What the lake holds, for people and for programs."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from nyc_taxi.lake.raw import RawFile
from nyc_taxi.model.references import MonthFiles


def as_plain(raw: list[RawFile], versions: list[MonthFiles]) -> dict[str, Any]:
    """For JSON: the raw files, and the versions with their counts."""
    return {
        "raw": [file.to_dict() for file in raw],
        "versions": [files.to_dict() for files in versions],
    }


def table(raw: list[RawFile], versions: list[MonthFiles], where: str) -> Table:
    """For people: a line for each raw file, followed by the versions refined from it."""
    shown = Table(
        title=None if raw or versions else f"The lake is empty ({where}): try `taxi run green 2020-04`.",
        caption=where if raw or versions else None,
        show_edge=False,
    )
    for name in ("service", "month", "raw file", "version"):
        shown.add_column(name, no_wrap=True)
    shown.add_column("size", no_wrap=True, justify="right")
    shown.add_column("fetched (UTC)", no_wrap=True)
    shown.add_column("from", overflow="fold")
    for file in raw:
        last = file.publications[-1] if file.publications else None
        fetched = f"{last.fetched_at:%Y-%m-%d %H:%M}" if last else ""
        size = f"{file.size / 2**20:,.1f} MiB"
        url = last.url if last else ""
        shown.add_row(file.service, str(file.month), file.sha256[:12], "", size, fetched, url)
        for files in versions:
            if files.source.sha256 == file.sha256 and (files.service, files.month) == (
                file.service,
                file.month,
            ):
                shown.add_row(files.service, str(files.month), "", files.version, _trips(files), "", "")
    known = {(file.service, file.month, file.sha256) for file in raw}
    for files in versions:
        if (files.service, files.month, files.source.sha256) not in known:
            source = files.source.version
            shown.add_row(
                files.service, str(files.month), f"({source})", files.version, _trips(files), "", ""
            )
    return shown


def _trips(files: MonthFiles) -> str:
    return f"{files.trips:,} trips"
