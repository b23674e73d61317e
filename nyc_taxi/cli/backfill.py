"""`taxi catch-up` and `taxi backfill`: many months in one command.

No postponed annotations here: with them typer 0.9, which Mage pins, does not see options and help texts.
"""

from typing import Annotated

import typer
from rich.markup import escape

from nyc_taxi.cli.arguments import ServiceArgument, ToOption
from nyc_taxi.cli.console import output
from nyc_taxi.model.months import Month, Service
from nyc_taxi.settings import Settings, load_settings

FromOption = Annotated[str, typer.Option("--source", help="As for `taxi run`.")]
MONTH_HELP = "Such as 2020-03."


def catch_up(
    services: Annotated[str, typer.Option(help="Separated by commas.")] = "yellow,green",
    since: Annotated[
        str, typer.Option(metavar="MONTH", help="The first month; by default half a year ago.")
    ] = "",
    source: FromOption = "",
    to: ToOption = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the pending months, load nothing.")
    ] = False,
) -> None:
    """Load every month that is published but missing in a destination, or republished."""
    from nyc_taxi.pipelines.pending import months_to_check, pending_months
    from nyc_taxi.pipelines.requests import destinations, today

    settings = load_settings()
    names, chosen = destinations({"destinations": to}, settings), Service.parse_several(services)
    first, last = months_to_check(today(), Month.parse(since) if since else None)
    pending = list(pending_months(chosen, first, last, source or settings.source, names, settings))
    console = output()
    for month in pending:
        console.print(
            f"{month.service} {month.month} is pending: {month.why}", soft_wrap=True, highlight=False
        )
    if not pending:
        console.print(f"Nothing is pending: {', '.join(chosen)} from {first} to {last}.", highlight=False)
    if pending and not dry_run:
        _run([(month.service, month.month) for month in pending], source, to, settings)


def backfill(
    service: ServiceArgument,
    first: Annotated[str, typer.Argument(show_default=False, metavar="FIRST", help=MONTH_HELP)],
    last: Annotated[
        str, typer.Argument(show_default=False, metavar="LAST", help=f"{MONTH_HELP[:-1]}; loaded too.")
    ],
    source: FromOption = "",
    to: ToOption = "",
    accept: Annotated[
        bool, typer.Option("--accept", help="Load months even if they look like wrong or truncated files.")
    ] = False,
) -> None:
    """Load a range of months, one after another. Completed steps are skipped."""
    from nyc_taxi.pipelines.backfill import backfill_months

    chosen = Service.parse(service)
    months = backfill_months(chosen, Month.parse(first), Month.parse(last))
    _run([(chosen, month) for month in months], source, to, load_settings(), accept)


def _run(
    months: list[tuple[Service, Month]], source: str, to: str, settings: Settings, accept: bool = False
) -> None:
    """Load the months and print one line for each; exits with code 1 when one of them failed."""
    from nyc_taxi.cli.progress import bars
    from nyc_taxi.model.run import Run, RunContext
    from nyc_taxi.pipelines.backfill import attempt
    from nyc_taxi.pipelines.requests import limit, make_request

    console = output()
    context = RunContext(settings, Run.new("cli"))
    values = {"source": source, "destinations": to, "accept": accept}
    rows = loaded = failed = 0
    for service, month in months:
        request = make_request({**values, "service": service, "month": month}, settings)
        with bars() as progress:
            result = attempt(request, limit(context, request.destinations), progress)
        style = "red" if result.error else None
        console.print(escape(str(result)), style=style, soft_wrap=True, highlight=False)
        failed += result.error is not None
        loaded += result.outcome is not None
        rows += result.outcome.files.rows_in if result.outcome else 0
    note = f"; {failed} failed, see above" if failed else ""
    console.print(f"{loaded} months, {rows:,} rows in{note}", highlight=False)
    if failed:
        raise typer.Exit(1)
