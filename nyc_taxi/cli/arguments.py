"""Arguments and options that several commands have."""

from typing import Annotated

import typer

ServiceArgument = Annotated[
    str, typer.Argument(show_default=False, metavar="SERVICE", help="yellow, green, fhv or fhvhv.")
]
MonthArgument = Annotated[str, typer.Argument(show_default=False, metavar="MONTH", help="Such as 2020-04.")]
ToOption = Annotated[str, typer.Option("--to", help="Destinations, separated by commas.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document, for programs.")]
