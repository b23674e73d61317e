"""The commands of `taxi`, each a few lines over the package.

No postponed annotations here: with them typer 0.9, which Mage pins, does not see options and help texts.
"""

from pathlib import Path
from typing import Annotated

import typer

from nyc_taxi import __version__
from nyc_taxi.cli import backfill, bikeshare, checks, lake, maintenance, metrics, query
from nyc_taxi.cli.arguments import MonthArgument, ServiceArgument, ToOption
from nyc_taxi.cli.console import output, set_up_logging
from nyc_taxi.errors import TaxiError
from nyc_taxi.model.months import Month, Service
from nyc_taxi.settings import load_settings

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Load New York taxi trips: download a month, clean it, write Parquet, load every destination.",
)

app.add_typer(bikeshare.app, name="bikeshare")
app.add_typer(lake.app, name="lake")


@app.callback()
def _options(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log more.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    set_up_logging(verbose)
    if version:
        typer.echo(__version__)
        raise typer.Exit


@app.command()
def run(
    service: ServiceArgument,
    month: MonthArgument,
    source: Annotated[
        str,
        typer.Option(
            help="auto, tlc, csv, sample, lake (a file fetched earlier), or a folder, a file or a URL."
        ),
    ] = "",
    to: ToOption = "",
    accept: Annotated[
        bool, typer.Option("--accept", help="Load the month even if it looks like a wrong or truncated file.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Load the month even into destinations that hold this version.")
    ] = False,
) -> None:
    """Download a month, clean it, write Parquet and load it. Completed steps are skipped."""
    from nyc_taxi.cli.progress import bars
    from nyc_taxi.model.run import Run, RunContext
    from nyc_taxi.pipelines.requests import limit, make_request
    from nyc_taxi.pipelines.trips.run import run_month
    from nyc_taxi.reporting import summary

    settings = load_settings()
    values = {
        "service": service,
        "month": month,
        "source": source,
        "destinations": to,
        "accept": accept,
        "force": force,
    }
    request = make_request(values, settings)
    with bars() as progress:
        context = limit(RunContext(settings, Run.new("cli")), request.destinations)
        outcome = run_month(request, context, progress)
    summary.show(output(), outcome)


app.command("catch-up")(backfill.catch_up)
app.command()(backfill.backfill)
app.command()(checks.status)
app.command()(checks.history)
app.command()(checks.verify)
app.command()(checks.doctor)
app.command()(query.sql)
app.command()(query.export)
app.command()(query.connect)
app.command()(metrics.metrics)
app.command()(maintenance.migrate)
app.command()(maintenance.delete)
app.command()(maintenance.prune)


@app.command()
def zones(
    source: Annotated[str, typer.Option(help="URL or file of the list, or lake; by default TLC's.")] = "",
    to: ToOption = "",
) -> None:
    """Load the list of taxi zones, which pickup_location_id and dropoff_location_id refer to."""
    from nyc_taxi.pipelines.requests import destinations
    from nyc_taxi.pipelines.zones import fetch_zones, load_zones, stored_zones

    settings = load_settings()
    names = destinations({"destinations": to}, settings)
    lookup = stored_zones(fetch_zones(settings, source), settings)
    load_zones(lookup, names, settings)
    typer.echo(f"Loaded {len(lookup.rows)} zones into the table zones of {', '.join(names)}.")


@app.command()
def preview(
    service: ServiceArgument,
    month: MonthArgument,
    rows: Annotated[int, typer.Option(min=1, max=1000, help="How many rows.")] = 10,
    quarantine: Annotated[
        bool, typer.Option("--quarantine", help="Show quarantined rows instead of trips.")
    ] = False,
) -> None:
    """Show the first trips of a loaded month, or with --quarantine its quarantined rows."""
    from nyc_taxi.reporting import preview as previews
    from nyc_taxi.reporting import summary
    from nyc_taxi.reporting.current_months import current_files

    files = current_files(Service.parse(service), Month.parse(month), load_settings())
    path = files.quarantine_path if quarantine else files.trips_path
    console = output()
    console.print(
        f"{files.service} {files.month}: {files.trips:,} trips, {files.rows_quarantined:,} quarantined"
    )
    console.print(summary.rich_table(previews.head(path, rows)))


@app.command()
def quality(
    service: ServiceArgument,
    month: MonthArgument,
    picture: Annotated[str, typer.Option(metavar="PNG", help="Also write the chart to this file.")] = "",
) -> None:
    """Show the quality report of a loaded month."""
    from nyc_taxi.reporting import preview as previews
    from nyc_taxi.reporting import summary
    from nyc_taxi.reporting.chart import save
    from nyc_taxi.reporting.current_months import current_files

    files = current_files(Service.parse(service), Month.parse(month), load_settings())
    output().print(summary.rich_table(previews.head(files.quality_path, previews.ROWS)))
    if picture:
        typer.echo(f"chart written to {save(files, Path(picture))}")


@app.command()
def report(
    service: ServiceArgument,
    month: MonthArgument,
    output_file: Annotated[
        str, typer.Option("--output", metavar="HTML", help="File to write; by default in the workspace.")
    ] = "",
) -> None:
    """Write a page on a loaded month: trips by time and zone, distances, fares, tips, quarantine."""
    from nyc_taxi.reporting.current_months import current_files
    from nyc_taxi.reporting.report import page

    settings = load_settings()
    files = current_files(Service.parse(service), Month.parse(month), settings)
    path = Path(output_file) if output_file else page.default_path(files, settings)
    typer.echo(f"report written to {page.write(files, settings, path)}")


@app.command()
def cost(
    month: Annotated[
        str, typer.Option(metavar="MONTH", help="One month, such as 2020-04; by default all.")
    ] = "",
    price: Annotated[float, typer.Option(min=0, help="US dollars per TiB scanned.")] = 6.25,
) -> None:
    """Estimate by dry runs how many bytes reading each shipped view scans, and the price."""
    from nyc_taxi.extras import require_extra
    from nyc_taxi.load.warehouse.bigquery.load import BigQuery

    require_extra("gcp", "BigQuery")
    scanned = BigQuery.from_settings(load_settings()).dry_run_cost(Month.parse(month) if month else None)
    for view, size in scanned.items():
        typer.echo(f"{view:<22} {size / 2**20:12,.1f} MiB  ${size / 2**40 * price:,.6f}")
    if not scanned:
        raise TaxiError("the dataset has no views: load a month first (`taxi run ... --to bigquery`).")


@app.command()
def sample(
    service: ServiceArgument,
    month: MonthArgument,
    path: Annotated[
        Path, typer.Argument(show_default=False, help="File to write: .csv, .csv.gz or .parquet.")
    ],
    rows: Annotated[int, typer.Option(help="How many rows; 0: the service's usual number.")] = 0,
    seed: Annotated[int, typer.Option(help="Seed of the generator; each seed gives a different month.")] = 1,
) -> None:
    """Write a generated month like TLC's, with all the quirks of that year."""
    from nyc_taxi.local.samples import write

    expected = write(Service.parse(service), Month.parse(month), path, rows or None, seed)
    typer.echo(f"{path}: {expected.rows:,} rows of a generated {service} {month}")


@app.command()
def stop() -> None:
    """Stop the embedded servers; their data stays."""
    from nyc_taxi.local import gcs, postgres

    workspace = load_settings().workspace
    servers = {"embedded Postgres": (postgres, "postgres"), "GCS emulator": (gcs, "gcs")}
    stopped = [name for name, (server, at) in servers.items() if server.stop(workspace / at)]
    for name in stopped:
        typer.echo(f"Stopped the {name}.")
    if not stopped:
        typer.echo("No embedded server is running.")
