"""`taxi status`, `history`, `verify` and `doctor`: what is loaded, and whether it is whole.

No postponed annotations here: with them typer 0.9, which Mage pins, does not see options and help texts.
"""

import json
from itertools import chain
from typing import Annotated

import typer
from rich.markup import escape

from nyc_taxi.cli.arguments import JsonOption, MonthArgument, ServiceArgument, ToOption
from nyc_taxi.cli.console import output
from nyc_taxi.errors import TaxiError, one_line
from nyc_taxi.model.months import Month, Service
from nyc_taxi.settings import load_settings


def status(
    as_json: JsonOption = False,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Also check the source for missing and newer months; exit with 1 if there is a problem.",
        ),
    ] = False,
    source: Annotated[str, typer.Option(help="The source to check, as for `taxi run`.")] = "",
) -> None:
    """Show which months each destination holds, in which version, and any problems.

    Exits with 1 if a destination or, with --check, the source does not answer.
    """
    from nyc_taxi.pipelines.requests import destinations
    from nyc_taxi.reporting.status import as_plain, collect, table

    settings = load_settings()
    checked_source = source or (settings.source if check else "")
    unanswered: list[TaxiError] = []
    months = collect(destinations({}, settings), settings, checked_source or None, unanswered)
    if as_json:
        typer.echo(json.dumps(as_plain(months), indent=2))
    elif months or not unanswered:
        output().print(table(months))
    if unanswered:
        reasons = "; ".join(one_line(error) for error in unanswered)
        raise TaxiError(f"this is not the whole status: {reasons}.")
    if check and any(month.marks for month in months):
        raise typer.Exit(1)


def history(
    service: ServiceArgument,
    month: MonthArgument,
    to: ToOption = "",
) -> None:
    """Show every load and deletion of a month: when, by whom, which version, and what was accepted."""
    from nyc_taxi.pipelines.requests import destinations
    from nyc_taxi.reporting.status import history_of, history_table

    settings = load_settings()
    names = destinations({"destinations": to}, settings)
    output().print(history_table(history_of(Service.parse(service), Month.parse(month), names, settings)))


def verify(
    service: Annotated[str, typer.Argument(metavar="[SERVICE]", help="By default all services.")] = "",
    month: Annotated[str, typer.Argument(metavar="[MONTH]", help="By default all months.")] = "",
    to: ToOption = "",
) -> None:
    """Compare destinations with their ledgers, the lake with its checksums; exits with 1 if they differ."""
    from nyc_taxi.pipelines.requests import destinations
    from nyc_taxi.reporting.verification import verify_lake, verify_months, verify_workspace

    settings = load_settings()
    console = output()
    only = (Service.parse(service) if service else None, Month.parse(month) if month else None)
    verified = verify_months(destinations({"destinations": to}, settings), settings, *only)
    if not to:
        verified = chain(verified, verify_workspace(settings, *only), verify_lake(settings, *only))
    checked = damaged = 0
    for each in verified:
        checked += 1
        if each.damage:
            damaged += 1
            console.print(f"[red]{escape(str(each))}[/]", soft_wrap=True, highlight=False)
    console.print(f"{checked} verified, {damaged} damaged", highlight=False)
    if damaged:
        console.print("Load a damaged month again: `taxi run SERVICE MONTH --force`.", highlight=False)
        raise typer.Exit(1)


def doctor() -> None:
    """Check settings, rules, workspace, source and destinations; print what to do about each problem."""
    from nyc_taxi.reporting.doctor import checkup

    console = output()
    failures = 0
    for check in checkup():
        failures += not check.ok
        mark = "[green]ok  [/]" if check.ok else "[red]FAIL[/]"
        console.print(f"{mark} [bold]{check.name}[/]: {check.detail}", soft_wrap=True)
    raise typer.Exit(1 if failures else 0)
