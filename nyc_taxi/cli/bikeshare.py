"""`taxi bikeshare`: stations and trips of a bike-share, day by day."""

# No `from __future__ import annotations`: typer 0.9, which Mage asks for, would then not read the options.
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from nyc_taxi.cli.arguments import JsonOption
from nyc_taxi.cli.console import output
from nyc_taxi.errors import SettingsError

if TYPE_CHECKING:
    from nyc_taxi.pipelines.bikeshare.flow import DayResult
    from nyc_taxi.pipelines.bikeshare.ledger import Entry

app = typer.Typer(no_args_is_help=True, help="Bike-share: MySQL to the bucket to the warehouse, day by day.")


@app.command()
def run(
    day: Annotated[str, typer.Argument(show_default=False, metavar="DATE", help="Such as 2018-01-01.")],
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for the day's trips.")] = 0.0,
    poll: Annotated[float, typer.Option(min=1, help="Seconds between checks.")] = 60.0,
) -> None:
    """Extract, land, load and transform one day. Completed steps are skipped."""
    from nyc_taxi.model.run import Run
    from nyc_taxi.pipelines.bikeshare.flow import load_config, parse_day, run_day

    _show(output(), run_day(load_config(), parse_day(day), Run.new("cli"), wait, poll))


@app.command()
def status(
    as_json: JsonOption = False,
) -> None:
    """Show which days each table of the warehouse holds, and the check results."""
    from nyc_taxi.pipelines.bikeshare.flow import load_config
    from nyc_taxi.pipelines.bikeshare.ledger import entries as ledger_entries
    from nyc_taxi.pipelines.bikeshare.warehouse import open_warehouse

    config = load_config()
    warehouse = open_warehouse(config)
    entries = ledger_entries(warehouse)
    if as_json:
        plain = [entry.to_dict() | {"counts": json.loads(entry.counts)} for entry in entries]
        typer.echo(json.dumps(plain, indent=2))
        return
    console = output()
    console.print(escape(warehouse.describe()) + _generated(config.generated), soft_wrap=True)
    if entries:
        console.print(_table(entries))
    else:
        console.print(
            "No day is loaded yet: try `taxi bikeshare seed`, then `taxi bikeshare run 2018-01-01`."
        )


@app.command()
def seed(
    day: Annotated[
        str, typer.Argument(show_default=False, help="Day of the generated trips; by default 2018-01-01.")
    ] = "",
    folder: Annotated[
        Optional[Path],  # noqa: UP045 (typer 0.9 does not read `Path | None`)
        typer.Option(
            "--from", exists=True, file_okay=False, help="Folder with stations.csv, trips_20180101..."
        ),
    ] = None,
) -> None:
    """Fill the demo database and the bucket: with generated data, or from a folder of files."""
    from nyc_taxi.pipelines.bikeshare.flow import parse_day
    from nyc_taxi.pipelines.bikeshare.seed import seed_files, seed_sample
    from nyc_taxi.settings import load_settings

    if folder and day:
        raise SettingsError("give a day or --from, not both: the names of the files contain their days.")
    settings = load_settings()
    generated_day = parse_day(day or "2018-01-01")
    seeded = seed_files(settings, folder) if folder else seed_sample(settings, generated_day)
    for line in seeded.written:
        typer.echo(line)
    for line in seeded.kept:
        typer.echo(f"{line}: already exists, not changed")


def _show(console: Console, result: "DayResult") -> None:
    """Print the result of a run."""
    console.print(f"\n[bold]bike-share {result.day}[/]{_generated(result.generated)}")
    for uri in result.trips:
        console.print(f"Trips     {escape(uri)}", soft_wrap=True)
    console.print(f"Warehouse {escape(result.warehouse)}\n", soft_wrap=True)
    console.print(_table(result.entries))


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
        shown_counts = ", ".join(
            f"{number:,} {name.replace('_', ' ')}" for name, number in counts.items() if number
        )
        finished = f"{entry.finished_at:%Y-%m-%d %H:%M}"
        shown.add_row(
            str(entry.date), entry.table_name, f"{entry.row_count:,}", entry.version, finished, shown_counts
        )
    return shown
