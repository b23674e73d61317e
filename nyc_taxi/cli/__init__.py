"""`taxi`, the command line."""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
import types
import warnings

from nyc_taxi.errors import TaxiError


def main() -> None:
    """Run a command; an expected error is one sentence on stderr and exit code 1."""
    signal.signal(signal.SIGINT, _stop)
    gc.set_threshold(50_000)  # collections while modules are imported find nothing, for 0.1 s
    from rich.markup import escape

    from nyc_taxi.cli.commands import app
    from nyc_taxi.cli.console import errors
    from nyc_taxi.settings import keep_writers_out
    from nyc_taxi.telemetry.events import is_json

    keep_writers_out()
    if sys.argv[1:2] != ["status"]:  # which needs no Arrow
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


def keep_pandas_out() -> None:
    """Spare every command the import of pandas: half a second and 60 MB.

    pyarrow imports it at the first `pa.array()`, only to ask whether its argument is a pandas
    object, and no longer asks once it has found one that is too old. `to_pandas()` still works:
    it imports pandas anew.
    """
    if "pandas" in sys.modules:
        return
    import pyarrow as pa

    sys.modules["pandas"] = types.ModuleType("pandas")
    sys.modules["pandas"].__version__ = "0"  # type: ignore[attr-defined]
    try:
        with warnings.catch_warnings(action="ignore"):
            pa.array([])
    finally:
        del sys.modules["pandas"]
