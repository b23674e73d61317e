"""`taxi lake`: which raw files and versions the lake holds, and copies of them.

No postponed annotations here: with them typer 0.9, which Mage pins, does not see options and help texts.
"""

import json
from pathlib import Path
from typing import Annotated

import typer

from nyc_taxi.cli.arguments import JsonOption, MonthArgument, ServiceArgument
from nyc_taxi.cli.console import output
from nyc_taxi.model.months import SERVICE_NAMES, Month, Service
from nyc_taxi.settings import load_settings

app = typer.Typer(no_args_is_help=True, help="Raw files and refined versions of all months.")


@app.command("list")
def list_(
    service: Annotated[str, typer.Argument(metavar="[SERVICE]", help=f"{SERVICE_NAMES}.")] = "",
    month: Annotated[str, typer.Argument(metavar="[MONTH]", help="Such as 2020-04.")] = "",
    as_json: JsonOption = False,
) -> None:
    """List the raw files that were fetched and the versions that were refined from them."""
    from nyc_taxi.lake.lake import Lake
    from nyc_taxi.reporting import lake as report

    lake = Lake(load_settings())
    chosen = (Service.parse(service) if service else None, Month.parse(month) if month else None)
    raw, versions = lake.raw.held(*chosen), lake.versions.held(*chosen)
    if as_json:
        typer.echo(json.dumps(report.as_plain(raw, versions), indent=2))
    else:
        output().print(report.table(raw, versions, lake.describe()))


@app.command()
def fetch(
    service: ServiceArgument,
    month: MonthArgument,
    which: Annotated[
        str,
        typer.Argument(
            metavar="[WHICH]",
            help="First digits of a raw file's SHA-256 or of a version; else the newest file.",
        ),
    ] = "",
    to: Annotated[Path, typer.Option(help="Folder to copy into.")] = Path(),
) -> None:
    """Copy a raw file as it was published, or the Parquet of a version, into a folder."""
    from nyc_taxi.lake.lake import Lake
    from nyc_taxi.pipelines.stored import copy_out

    lake = Lake(load_settings())
    for path in copy_out(lake, Service.parse(service), Month.parse(month), which, to):
        typer.echo(path)
