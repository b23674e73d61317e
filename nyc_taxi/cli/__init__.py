"""`taxi`, the command line."""

from __future__ import annotations

import gc
import sys
import types
import warnings

from nyc_taxi.errors import TaxiError


def main() -> None:
    """Run a command; an expected error is one sentence on stderr and exit code 1."""
    from rich.markup import escape

    from nyc_taxi.cli.commands import app
    from nyc_taxi.cli.console import errors

    keep_pandas_out()
    try:
        app(prog_name="taxi")
    except TaxiError as error:
        errors().print(f"[red]taxi:[/] {escape(str(error))}", soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        gc.freeze()  # at its end Python would look for cycles in all that is left, for 0.2 s


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
