"""The summary that is printed after a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from nyc_taxi.load.registry import REGISTRY
from nyc_taxi.model.references import MonthFiles

if TYPE_CHECKING:
    import pyarrow as pa

    from nyc_taxi.pipelines.trips.run import Outcome

_SUMMARY_COLUMNS = (
    *("pickup_datetime", "dropoff_datetime", "trip_distance", "total_amount", "flags"),
    *("source_row", "reasons", "detail", "raw"),
    *("measure", "subject", "value"),
)
"""The most informative columns that fit a terminal: of trips, of quarantine, of quality."""


def show(console: Console, outcome: Outcome, rows: int = 5) -> None:
    """Rows in and out, quarantined by reason, destinations, seconds per step; of new months a few trips."""
    files = outcome.files
    console.print()
    sample = " [yellow](a generated sample, not TLC's data)[/]" if files.source.is_sample else ""
    console.print(f"[bold]{files.service} {files.month}[/]{sample} from {escape(files.source.url)}")
    console.print(_balance(files))
    _place(console, "Parquet", str(files.trips_path))
    for loaded in outcome.loaded:
        note = " [dim](already up to date; nothing was loaded)[/]" if loaded.skipped else ""
        _place(console, REGISTRY[loaded.destination].title, loaded.describe, note)
    if not all(loaded.skipped for loaded in outcome.loaded):
        from nyc_taxi.reporting import preview  # imports Arrow

        console.print()
        console.print(rich_table(preview.head(files.trips_path, rows)))
    if outcome.seconds:
        steps = ", ".join(f"{step} {seconds:.1f} s" for step, seconds in outcome.seconds.items())
        console.print(f"[dim]{steps}; {outcome.total:.1f} s in total[/]")


def _place(console: Console, title: str, where: str, note: str = "") -> None:
    """One line, however long, so that paths can be copied."""
    console.print(f"{title:<8}  {escape(where)}{note}", soft_wrap=True, highlight=False)


def rich_table(rows: pa.Table) -> Table:
    """The columns that have values, as a table for a terminal; of trips only a few."""
    names = [name for name in rows.column_names if rows[name].null_count < len(rows)]
    shown = [name for name in _SUMMARY_COLUMNS if name in names]
    if "pickup_datetime" in names:  # every trip has a source_row
        shown.remove("source_row")
    table = Table(show_edge=False, pad_edge=False)
    for name in shown:
        table.add_column(name, overflow="fold")
    for row in rows.select(shown).to_pylist():
        table.add_row(*(escape(_cell(value)) for value in row.values()))
    hidden = len(rows.column_names) - len(shown)
    if hidden:
        table.caption = f"and {hidden} more columns"
    return table


def _cell(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(value)
    return "" if value is None else f"{value:,.10g}" if isinstance(value, float) else str(value)


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
    if files.derived_columns:
        table.add_row("Derived", f"{len(files.derived_columns)}", f"{', '.join(files.derived_columns)}")
    return table


def _reasons(counts: dict[str, int], prefix: str = "") -> str:
    return (
        f"[dim]{prefix}{', '.join(f'{name} {count:,}' for name, count in counts.items())}[/]"
        if counts
        else ""
    )
