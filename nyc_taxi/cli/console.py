"""Output of the command line: results to stdout, everything else to stderr."""

from __future__ import annotations

import logging
import sys

from rich.console import Console
from rich.logging import RichHandler

_WIDE = 160
"""Width when output goes to a file or a pipe."""


def output() -> Console:
    """For results."""
    return Console(width=None if sys.stdout.isatty() else _WIDE)


def errors() -> Console:
    """For progress, notes and errors."""
    return Console(stderr=True, width=None if sys.stderr.isatty() else _WIDE)


def set_up_logging(verbose: bool) -> None:
    """Log to stderr as plain sentences, including retries and their reasons."""
    handler = RichHandler(console=errors(), show_time=False, show_path=False, show_level=False)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[handler])
    logging.getLogger("nyc_taxi").setLevel(logging.DEBUG if verbose else logging.INFO)
    from stamina import instrumentation

    instrumentation.set_on_retry_hooks([_say_retry])


def _say_retry(details: object) -> None:
    cause, wait = getattr(details, "caused_by", None), getattr(details, "wait_for", 0.0)
    if wait >= 1:
        what = str(cause).partition("; ")[0]  # the final error says what to do
        logging.getLogger("nyc_taxi").info("Trying again in %.0f s: %s", wait, what)
