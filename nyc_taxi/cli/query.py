"""`taxi sql`, `connect` and `export`: the current data for analysts, who change nothing.

No postponed annotations here: with them typer 0.9, which Mage pins, does not see options and help texts.
"""

import logging
import os
import signal
import sys
import warnings
from pathlib import Path
from typing import Annotated

import typer

from nyc_taxi.cli.arguments import ServiceArgument
from nyc_taxi.cli.console import output, visible
from nyc_taxi.settings import load_settings

log = logging.getLogger(__name__)

MAX_TIMEOUT = 1_000_000
"""Seconds: Postgres and the timer of a thread take no times without end."""

OnOption = Annotated[
    str, typer.Option("--on", help="workspace, postgres or duckdb; by default what is configured.")
]
AsOption = Annotated[str, typer.Option("--as", help="csv, csv.gz, json or parquet.")]
GeneratedOption = Annotated[bool, typer.Option("--generated", help="Include generated months.")]


def sql(
    query: Annotated[str, typer.Argument(show_default=False, metavar="QUERY", help="One SELECT.")],
    on: OnOption = "",
    as_: AsOption = "",
    file: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="Write all rows into this file.")
    ] = "",
    rows: Annotated[int, typer.Option(min=1, help="How many rows to show, without --as and --output.")] = 40,
    timeout: Annotated[
        float, typer.Option(min=0.1, max=MAX_TIMEOUT, help="Seconds that the query may take.")
    ] = 600,
    generated: GeneratedOption = False,
) -> None:
    """Query the current data: a table of the first rows, or all rows with --as or --output.

    Reads the workspace, Postgres or DuckDB. For BigQuery, use Google's console or `bq query`.
    """
    from nyc_taxi.reporting import query as queries
    from nyc_taxi.reporting.query_result import parse_format

    signal.signal(signal.SIGINT, _stop)
    form = parse_format(as_, file) if as_ or file else ""
    limit = None if form else rows + 1
    try:
        with queries.query(
            query, load_settings(), on=on, timeout=timeout, rows=limit, generated=generated
        ) as result:
            if file:
                result.write(form, Path(file))
            elif form:
                result.print(form)
            else:
                table, has_more = result.table(rows, output().width)
                typer.echo(visible(table), nl=False)
                if has_more:
                    typer.echo("There are more rows: see --rows, --as and --output.", err=True)
    except BrokenPipeError:  # as of `| head`
        os._exit(0)  # an orderly exit would write what is buffered


def export(
    service: ServiceArgument,
    months: Annotated[
        str, typer.Argument(show_default=False, metavar="MONTHS", help="2020-04, or 2020-01:2020-06.")
    ],
    as_: AsOption = "",
    file: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="By default green_2020-04.parquet.")
    ] = "",
    quarantine: Annotated[
        bool, typer.Option("--quarantine", help="Export quarantined rows instead of trips.")
    ] = False,
    generated: GeneratedOption = False,
) -> None:
    """Write the trips of one or several months into one file."""
    from nyc_taxi.reporting import query as queries
    from nyc_taxi.reporting.datasets import read_quarantine, read_trips
    from nyc_taxi.reporting.query_result import parse_format

    signal.signal(signal.SIGINT, _stop)
    form = parse_format(as_, file) if as_ or file else "parquet"
    kind = "_quarantine" * quarantine
    path = Path(file or f"{service}_{months.replace(':', '_')}{kind}.{form}")
    read = read_quarantine if quarantine else read_trips
    with warnings.catch_warnings(record=True) as notes:
        batches = read(service, months, as_="batches", generated=generated)
    for note in notes:
        log.warning("%s", note.message)
    with queries.rows_as_result(batches) as result:
        result.write(form, path)
    typer.echo(f"{path}: {path.stat().st_size:,} bytes")


def connect(
    database: Annotated[
        str, typer.Argument(metavar="[DATABASE]", help="postgres or duckdb; by default what is configured.")
    ] = "",
    show: Annotated[
        bool, typer.Option("--print", help="Print the command of the shell, do not start it.")
    ] = False,
) -> None:
    """Open a shell that reads the tables of Postgres or DuckDB; without a terminal, print its command.

    For BigQuery, use Google's console or `bq shell`.
    """
    from nyc_taxi.reporting.shells import find_shell

    shell = find_shell(database, load_settings())
    if show or not (sys.stdin.isatty() and sys.stdout.isatty() and shell.is_installed):
        typer.echo(shell.line)
        return
    environment = {**os.environ, **shell.environment, **shell.secrets}
    os.execvpe(shell.arguments[0], shell.arguments, environment)


def _stop(*_: object) -> None:
    """Ctrl-C: leave at once, as `taxi` does, but without the temporary files."""
    from nyc_taxi.reporting.query_result import discard_unfinished

    discard_unfinished()
    os.write(2, b"Stopped. No file is half written.\n")
    os._exit(128 + signal.SIGINT)
