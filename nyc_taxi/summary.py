"""What a person wants to see after a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from nyc_taxi import preview
from nyc_taxi.reference import MonthFiles

if TYPE_CHECKING:
    import pandas as pd

    from nyc_taxi.flow import Outcome

_PREVIEW_COLUMNS = 7


def show(console: Console, outcome: Outcome, rows: int = 5) -> None:
    """Rows in and out, quarantined by reason, where everything lies, a few trips, seconds by step."""
    files = outcome.files
    console.print()
    sample = " [yellow](a generated sample, not TLC's data)[/]" if files.source.is_sample else ""
    console.print(f"[bold]{files.service} {files.month}[/]{sample} from {escape(files.source.url)}")
    console.print(_balance(files))
    places = Table.grid(padding=(0, 2))
    places.add_row("Parquet", escape(str(files.trips_path)))
    for loaded in outcome.loaded:
        note = " [dim](held this version already; nothing was loaded)[/]" if loaded.skipped else ""
        places.add_row(loaded.destination.capitalize(), escape(loaded.describe) + note)
    console.print(places)
    console.print()
    console.print(frame_table(preview.trips(files, rows)))
    if outcome.seconds:
        steps = ", ".join(f"{step} {seconds:.1f} s" for step, seconds in outcome.seconds.items())
        console.print(f"[dim]{steps}; {sum(outcome.seconds.values()):.1f} s in all[/]")


def frame_table(frame: pd.DataFrame) -> Table:
    """The first columns of a few rows as a table for a terminal."""
    names = [name for name in frame.columns if not frame[name].isna().all()]
    table = Table(show_edge=False, pad_edge=False)
    for name in names[:_PREVIEW_COLUMNS]:
        table.add_column(name, no_wrap=True)
    for row in frame[names[:_PREVIEW_COLUMNS]].itertuples(index=False):
        table.add_row(*("" if value is None or value != value else escape(str(value)) for value in row))
    hidden = len(frame.columns) - min(len(names), _PREVIEW_COLUMNS)
    if hidden > 0:
        table.caption = f"and {hidden} more columns"
    return table


def _balance(files: MonthFiles) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(justify="right")
    table.add_column()
    table.add_row("Rows in", f"{files.rows_in:,}")
    table.add_row("Trips", f"[green]{files.trips:,}[/]", _reasons(files.flagged, "flagged "))
    table.add_row("Quarantined", f"[yellow]{files.rows_quarantined:,}[/]", _reasons(files.quarantined))
    for name in files.unknown_columns:
        table.add_row("New column", "", f"{escape(name)}: kept; add it to nyc_taxi/schema/columns.yaml")
    return table


def _reasons(counts: dict[str, int], prefix: str = "") -> str:
    return (
        f"[dim]{prefix}{', '.join(f'{name} {count:,}' for name, count in counts.items())}[/]"
        if counts
        else ""
    )
