"""Arguments and options that several commands have."""

from typing import Annotated

import typer

from nyc_taxi.model.months import SERVICE_NAMES

ServiceArgument = Annotated[
    str, typer.Argument(show_default=False, metavar="SERVICE", help=f"{SERVICE_NAMES}.")
]
MonthArgument = Annotated[str, typer.Argument(show_default=False, metavar="MONTH", help="Such as 2020-04.")]
ToOption = Annotated[str, typer.Option("--to", help="Destinations, separated by commas.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document, for programs.")]
