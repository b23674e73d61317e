"""`taxi`, the command line."""

from __future__ import annotations

import sys

from nyc_taxi.errors import TaxiError


def main() -> None:
    """Run a command; an expected error is one sentence on stderr and exit code 1."""
    from rich.console import Console
    from rich.markup import escape

    from nyc_taxi.cli.commands import app

    try:
        app(prog_name="taxi")
    except TaxiError as error:
        Console(stderr=True).print(f"[red]taxi:[/] {escape(str(error))}", soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
