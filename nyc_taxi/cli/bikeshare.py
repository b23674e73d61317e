"""`taxi bikeshare`: stations and trips of a bike-share, day by day."""

# No `from __future__ import annotations`: typer 0.9, which Mage asks for, would then not read the options.
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from nyc_taxi.cli.console import output

if TYPE_CHECKING:
    from nyc_taxi.pipelines.bikeshare.flow import Outcome
    from nyc_taxi.pipelines.bikeshare.warehouse.base import Entry

app = typer.Typer(no_args_is_help=True, help="Bike-share: MySQL to the bucket to the warehouse, day by day.")


@app.command()
def run(
    day: Annotated[str, typer.Argument(show_default=False, metavar="DATE", help="Such as 2018-01-01.")],
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for the day's trips to come.")] = 0.0,
    poll: Annotated[float, typer.Option(min=1, help="Seconds between two looks for them.")] = 60.0,
) -> None:
    """Extract, land, load and transform one day. What is done already is not done again."""
    from nyc_taxi.load.contract import Run, new_run_id
    from nyc_taxi.pipelines.bikeshare.flow import parse_day, run_day

    _show(output(), run_day(parse_day(day), Run(new_run_id("cli"), "cli"), wait, poll))


@app.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="For programs: one JSON document.")] = False,
) -> None:
    """Show what each table of the warehouse holds of each day, and what the checks counted."""
    from nyc_taxi.pipelines.bikeshare.config import place
    from nyc_taxi.pipelines.bikeshare.ledger import entries as ledger_entries
    from nyc_taxi.pipelines.bikeshare.warehouse import open_warehouse

    here = place()
    warehouse = open_warehouse(here)
    entries = ledger_entries(warehouse)
    if as_json:
        plain = [vars(entry) | {"counts": json.loads(entry.counts)} for entry in entries]
        typer.echo(json.dumps(plain, indent=2, default=lambda when: when.isoformat()))
        return
    console = output()
    console.print(escape(warehouse.describe()) + _generated(here.generated), soft_wrap=True)
    if entries:
        console.print(_table(entries))
    else:
        console.print("No day is loaded yet: try `taxi bikeshare run 2018-01-01`.")


@app.command()
def seed(
    folder: Annotated[
        Path,
        typer.Option("--from", exists=True, file_okay=False, help="Holds stations.csv, trips_20180101..."),
    ],
) -> None:
    """Fill the embedded MySQL server and the bucket from a folder of files."""
    from nyc_taxi.pipelines.bikeshare.seed import seed as fill

    done = fill(folder)
    for table, rows in done.tables.items():
        typer.echo(f"MySQL table {table}: {rows:,} rows")
    for uri in done.objects:
        typer.echo(uri)


def _show(console: Console, outcome: "Outcome") -> None:
    """What the run came to."""
    console.print(f"\n[bold]bike-share {outcome.day}[/]{_generated(outcome.place.generated)}")
    for uri in outcome.trips:
        console.print(f"Trips     {escape(uri)}", soft_wrap=True)
    console.print(f"Warehouse {escape(outcome.warehouse)}\n", soft_wrap=True)
    console.print(_table(outcome.entries))


def _generated(generated: bool) -> str:
    return " [yellow](generated data, not a bike-share's)[/]" if generated else ""


def _table(entries: "list[Entry]") -> Table:
    shown = Table(show_edge=False)
    for name in ("date", "table"):
        shown.add_column(name, no_wrap=True)
    shown.add_column("rows", no_wrap=True, justify="right")
    for name in ("version", "loaded (UTC)"):
        shown.add_column(name, no_wrap=True)
    shown.add_column("counted", overflow="fold")
    for entry in entries:
        counts = json.loads(entry.counts)
        told = ", ".join(f"{number:,} {name.replace('_', ' ')}" for name, number in counts.items() if number)
        finished = f"{entry.finished_at:%Y-%m-%d %H:%M}"
        shown.add_row(
            str(entry.date), entry.table_name, f"{entry.row_count:,}", entry.version, finished, told
        )
    return shown
