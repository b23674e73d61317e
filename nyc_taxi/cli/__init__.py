"""`taxi`, the command line."""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys

from nyc_taxi.errors import TaxiError


def main() -> None:
    """Run a command; an expected error is one sentence on stderr and exit code 1."""
    signal.signal(signal.SIGINT, _stop)
    gc.set_threshold(50_000)  # collections while modules are imported find nothing, for 0.1 s
    from rich.markup import escape

    from nyc_taxi.cli.commands import app
    from nyc_taxi.cli.console import errors
    from nyc_taxi.cli.pandas_import import keep_pandas_out
    from nyc_taxi.settings import keep_writers_out
    from nyc_taxi.telemetry.events import is_json

    keep_writers_out()
    keep_pandas_out()
    try:
        app(prog_name="taxi")
    except TaxiError as error:
        if is_json():
            logging.getLogger("nyc_taxi").error("%s", error)
        errors().print(f"[red]taxi:[/] {escape(str(error))}", soft_wrap=True)
        sys.exit(1)
    finally:
        gc.freeze()  # otherwise Python collects garbage at exit, for 0.2 s


def _stop(*_: object) -> None:
    """Ctrl-C: leave at once.

    A run that is killed leaves nothing half done, so there is nothing to tidy up; an exception would get
    lost where it is raised inside an import, and libraries whose threads are at work abort an orderly end.
    """
    cursor = "\x1b[?25h" if sys.stderr.isatty() else ""  # which progress bars hide
    os.write(2, f"{cursor}Stopped. No month is half loaded; the next run continues.\n".encode())
    os._exit(128 + signal.SIGINT)
