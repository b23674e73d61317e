"""`taxi metrics`: how current each destination is, for Prometheus or an OpenTelemetry collector.

No postponed annotations here: with them typer 0.9, which Mage pins, does not see options and help texts.
"""

from pathlib import Path
from typing import Annotated

import typer

from nyc_taxi.cli.arguments import ToOption
from nyc_taxi.errors import wrap_os_errors
from nyc_taxi.settings import load_settings


def metrics(
    textfile: Annotated[
        str, typer.Option(metavar="PATH", help="Write this file, such as for node_exporter, not to stdout.")
    ] = "",
    to: ToOption = "",
) -> None:
    """Print how current each destination is, in Prometheus's format; also send it to a collector, if set."""
    from nyc_taxi.pipelines.requests import destinations
    from nyc_taxi.reporting.metrics import HELP, as_text, gauges, write
    from nyc_taxi.telemetry.metrics import send_gauges

    settings = load_settings()
    values = gauges(destinations({"destinations": to}, settings), settings)
    send_gauges([(each.name, HELP[each.name], each.labels, each.value) for each in values])
    if not textfile:
        typer.echo(as_text(values), nl=False)
        return
    with wrap_os_errors(Path(textfile)):
        write(as_text(values), Path(textfile))
