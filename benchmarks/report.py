"""Reports of figures: tables in the terminal, and Markdown in docs/performance.md."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmarks import history, machine
from benchmarks.figures import Figure, Figures, Outcome
from benchmarks.history import History
from nyc_taxi.errors import TaxiError
from nyc_taxi.settings import PROJECT

PAGE = PROJECT / "docs" / "performance.md"

OURS_OF = {"Postgres": "taxi_run", "limit": "taxi_run", "GCS": "ours_gcs", "warehouse": "ours_duckdb"}
"""The reference contender of each group."""

HEADS = ["", "rounds", "seconds", "CPU s", "peak MB", "x ours", "of which"]
TARGET_HEADS = ["target", "goal", "measured", ""]


def rows(figures: Figures) -> list[list[str]]:
    """Return the cells of every figure; times of months of another size are compared per row."""
    return [_cells(figure, figures) for figure in figures.values()]


def _cells(figure: Figure, figures: Figures) -> list[str]:
    ours = figures.get(OURS_OF[figure.group])
    title = (
        figure.title if ours is None or figure.rows == ours.rows else f"{figure.title} ({figure.rows:,} rows)"
    )
    if figure.failure:
        return [title, str(figure.rounds), "failed", "", "", "", figure.failure]
    steps = ", ".join(f"{step} {seconds:.3g}" for step, seconds in figure.steps.items())
    against = f"{figure.per_row / ours.per_row:.3g}" if ours and not ours.failure else ""
    measured = [f"{figure.seconds:.2f}", f"{figure.cpu:.2f}", f"{figure.memory:.0f}"]
    return [title, str(figure.rounds), *measured, against, steps]


def outcome_rows(outcomes: Sequence[Outcome]) -> list[list[str]]:
    """Return the cells of every target."""
    return [[each.title, each.goal, each.measured, each.verdict] for each in outcomes]


def show(figures: Figures, outcomes: Sequence[Outcome], facts: dict[str, Any], console: Console) -> None:
    """Print both tables, the machine and the missed targets."""
    console.print(_table(HEADS, rows(figures)))
    console.print(_table(TARGET_HEADS, outcome_rows(outcomes)))
    console.print(scaling(figures, facts["cores"]).replace("`", ""), soft_wrap=True)
    console.print(machine.in_words(facts), soft_wrap=True)
    if machine.is_busy(facts):
        console.print("Other programs were running at the start: the figures may be unreliable.")
    if figures["course_script"].rows < figures["taxi_run"].rows:
        console.print("A quick run weighs slow contenders' start-up tenfold: only a full run compares them.")
    missed = [each.title for each in outcomes if each.verdict == "not met"]
    if missed:
        console.print(f"Missed targets: {'; '.join(missed)}.", soft_wrap=True)


def _table(heads: list[str], cells: list[list[str]]) -> Table:
    table = Table(show_edge=False, pad_edge=False)
    for head in heads:
        number = head in HEADS[1:6] or head == "measured"
        table.add_column(head, justify="right" if number else "left", overflow="fold")
    for row in cells:
        table.add_row(*map(escape, row))
    return table


def markdown(heads: list[str], cells: list[list[str]]) -> str:
    """A table."""
    lines = [heads, ["---"] * len(heads), *cells]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)


def figures_text(figures: Figures, outcomes: Sequence[Outcome], facts: dict[str, Any], size: int) -> str:
    """Return the section of figures; `size` is the month's number of rows."""
    versions = ", ".join(f"{name} {number}" for name, number in (facts["ours"] | facts["others"]).items())
    return "\n\n".join(
        [
            f"A month of {size:,} rows; medians, greatest peak. {machine.in_words(facts)}; {versions}.",
            markdown(HEADS, rows(figures)),
            *filter(None, [scaling(figures, facts["cores"])]),
            markdown(TARGET_HEADS, outcome_rows(outcomes)),
        ]
    )


def scaling(figures: Figures, cores: int) -> str:
    """Return a sentence on the speed by number of cores; empty if it was not measured, or not faster."""
    one, all_ = (figures.get(name) for name in ("one_core", "taxi_run"))
    if cores < 2 or one is None or all_ is None or one.failure or all_.failure or one.seconds <= all_.seconds:
        return ""
    parallel = (one.seconds - all_.seconds) / (1 - 1 / cores)
    doubled = one.seconds - parallel + parallel / (2 * cores)
    return (
        f"`taxi run` and its server take {one.seconds:.2f} s on one core and {all_.seconds:.2f} s on {cores},"
        f" {one.seconds / all_.seconds:.2f}x as fast. By Amdahl's law, it would take {doubled:.2f} s on"
        f" {2 * cores}."
    )


def history_text(reckoned: History, rows_measured: int) -> str:
    """Return the section on all of TLC's history."""
    cells = [
        ["rows per second, whole run", f"{reckoned.rows_per_second:,.0f}"],
        ["one machine, into Postgres", f"{reckoned.hours:,.1f} hours"],
        [f"{history.MACHINES} months in parallel", f"{reckoned.hours_side_by_side:,.1f} hours"],
        ["Parquet", f"{reckoned.parquet_gib:,.0f} GiB"],
        ["in a bucket", f"${reckoned.bucket_dollars:,.2f} a month"],
        ["BigQuery, logical bytes", f"{reckoned.logical_gib:,.0f} GiB"],
        ["its storage", f"${reckoned.storage_dollars:,.2f} a month, half after 90 days"],
        ["a query that reads all of it", f"${reckoned.scan_dollars:,.2f}"],
    ]
    head = f"{history.ROWS / 1e9:g} billion rows, from a run over {rows_measured:,}:"
    return f"{head}\n\n{markdown(['', ''], cells)}"


def write_into(page: Path, sections: dict[str, str]) -> None:
    """Write each text between the comments that delimit its section; raises TaxiError without them."""
    text = page.read_text(encoding="utf-8")
    for name, section in sections.items():
        parts = re.split(rf"(<!-- begin {name}\b.*-->|<!-- end {name} -->)", text)
        if len(parts) != 5:
            raise TaxiError(f"{page}: has no section {name}: <!-- begin {name} --> and <!-- end {name} -->.")
        before, begin, _, end, after = parts
        text = f"{before}{begin}\n\n{section}\n\n{end}{after}"
    page.write_text(text, encoding="utf-8")
