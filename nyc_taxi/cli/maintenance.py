"""`taxi migrate`, `taxi delete` and `taxi prune`: upkeep of what is loaded.

No postponed annotations here: with them typer 0.9, which Mage pins, does not see options and help texts.
"""

from typing import Annotated

import typer
from rich.markup import escape

from nyc_taxi.cli.arguments import MonthArgument, ServiceArgument, ToOption
from nyc_taxi.cli.console import output
from nyc_taxi.model.months import Month, Service
from nyc_taxi.settings import load_settings


def migrate(
    to: ToOption = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the steps, change nothing.")] = False,
) -> None:
    """Bring the tables of earlier versions to the schema of this one."""
    from nyc_taxi.model.run import Run, RunContext
    from nyc_taxi.pipelines import migration
    from nyc_taxi.pipelines.requests import destinations

    console, settings = output(), load_settings()
    context = RunContext(settings, Run.new("cli"))
    failed = 0
    for name in destinations({"destinations": to}, settings):
        steps = migration.migrate(name, settings, dry_run=dry_run)
        for step in steps:
            console.print(f"{name}: {step.table}.{step.description}", soft_wrap=True, highlight=False)
            for service, month in step.reload:
                console.print(f"    {service} {month} is loaded again from the lake", highlight=False)
            if dry_run:
                for statement in step.statements:
                    console.print(f"    {statement};", soft_wrap=True, highlight=False, markup=False)
        if not steps:
            console.print(f"{name}: nothing to migrate", highlight=False)
        for result in migration.reload_months(name, steps, context) if not dry_run else ():
            failed += result.error is not None
            console.print(escape(str(result)), soft_wrap=True, highlight=False)
    if failed:
        console.print("Load these months again from their source: `taxi run SERVICE MONTH --force`.")
        raise typer.Exit(1)


def delete(
    service: ServiceArgument,
    month: MonthArgument,
    from_: Annotated[str, typer.Option("--from", help="Destinations, separated by commas.")],
) -> None:
    """Delete a month from destinations. Schedules do not load it again; `taxi run` does."""
    from nyc_taxi.model.run import Run
    from nyc_taxi.pipelines.deletion import delete_month
    from nyc_taxi.pipelines.requests import destinations

    settings = load_settings()
    names = destinations({"destinations": from_}, settings)
    run = Run.new("cli")
    for line in delete_month(Service.parse(service), Month.parse(month), names, settings, run):
        typer.echo(line)


def prune(
    days: Annotated[float, typer.Option(min=0, help="Keep what was in use within the last days.")] = 1.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would go, remove nothing.")] = False,
) -> None:
    """Remove superseded versions, generated months that no destination holds, scratch and copies."""
    from nyc_taxi.load.registry import holders
    from nyc_taxi.pipelines.prune import find_prunable

    console, settings = output(), load_settings()
    count = size = 0
    for each in find_prunable(holders(settings), settings, days):
        count, size = count + 1, size + each.size
        console.print(f"{each.what}: {each.size:,} bytes", soft_wrap=True, highlight=False)
        if not dry_run:
            each.remove()
    verb = "would be removed" if dry_run else "removed"
    console.print(f"{count} {verb}, {size:,} bytes", highlight=False)
