"""`taxi catch-up` and `taxi backfill`: many months in one command.

No postponed annotations here: with them typer 0.9, which Mage pins, does not see options and help texts.
"""

import datetime as dt
from collections.abc import Iterable
from typing import Annotated

import typer
from rich.markup import escape

from nyc_taxi.cli.console import output
from nyc_taxi.model.months import Month, Service

FromOption = Annotated[str, typer.Option("--source", help="As for `taxi run`.")]
ToOption = Annotated[str, typer.Option("--to", help="Destinations, separated by commas.")]
MONTH_HELP = "Such as 2020-03."


def catch_up(
    services: Annotated[str, typer.Option(help="Separated by commas.")] = "yellow,green",
    since: Annotated[
        str, typer.Option(metavar="MONTH", help="The first month; by default half a year ago.")
    ] = "",
    source: FromOption = "",
    to: ToOption = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what is due.")] = False,
) -> None:
    """Load every month that is published and missing somewhere, or published anew."""
    from nyc_taxi.load.registry import parse_names
    from nyc_taxi.pipelines.pending import due_months, months_to_look_at
    from nyc_taxi.settings import settings

    config = settings()
    names = parse_names(to or config.destinations)
    asked = Service.parse_several(services)
    today = dt.datetime.now(dt.UTC).date()
    first, last = months_to_look_at(today, Month.parse(since) if since else None)
    found = list(due_months(asked, first, last, source or config.source, names))
    console = output()
    for due in found:
        console.print(f"{due.service} {due.month} is due: {due.why}", soft_wrap=True, highlight=False)
    if not found:
        console.print(f"Nothing is due: {', '.join(asked)} from {first} to {last}.", highlight=False)
    if found and not dry_run:
        _run([(due.service, due.month) for due in found], source or config.source, names)


def backfill(
    service: Annotated[
        str, typer.Argument(show_default=False, metavar="SERVICE", help="yellow, green, fhv or fhvhv.")
    ],
    first: Annotated[str, typer.Argument(show_default=False, metavar="FIRST", help=MONTH_HELP)],
    last: Annotated[
        str, typer.Argument(show_default=False, metavar="LAST", help=f"{MONTH_HELP[:-1]}; loaded too.")
    ],
    source: FromOption = "",
    to: ToOption = "",
) -> None:
    """Load a range of months, one after another. What is done already is not done again."""
    from nyc_taxi.load.registry import parse_names
    from nyc_taxi.pipelines.backfill import asked_range
    from nyc_taxi.settings import settings

    config = settings()
    asked = Service.parse(service)
    months = asked_range(asked, Month.parse(first), Month.parse(last))
    _run(
        ((asked, month) for month in months), source or config.source, parse_names(to or config.destinations)
    )


def _run(wanted: Iterable[tuple[Service, Month]], source: str, names: list[str]) -> None:
    """Load the months, a line each; leaves with exit code 1 when one of them failed."""
    from nyc_taxi.cli.progress import bars
    from nyc_taxi.load.contract import Run, new_run_id
    from nyc_taxi.pipelines.backfill import attempt

    console = output()
    run = Run(new_run_id("cli"), "cli")
    rows = loaded = failed = 0
    for service, month in wanted:
        with bars() as progress:
            done = attempt(service, month, source, names, run, progress)
        console.print(escape(str(done)), style="red" if done.error else None, soft_wrap=True, highlight=False)
        failed += done.error is not None
        loaded += done.outcome is not None
        rows += done.outcome.files.rows_in if done.outcome else 0
    note = f"; {failed} failed, see above" if failed else ""
    console.print(f"{loaded} months, {rows:,} rows in{note}", highlight=False)
    if failed:
        raise typer.Exit(1)
