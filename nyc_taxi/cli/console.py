"""Output of the command line: results to stdout, everything else to stderr."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.logging import RichHandler
from rich.segment import Segment
from rich.text import Text

from nyc_taxi.settings import log_form
from nyc_taxi.telemetry.events import JsonFormatter, is_json

_WIDE = 160
"""Width when output goes to a file or a pipe."""


_SYMBOLS = {
    **{code: 0x2400 + code for code in range(32) if chr(code) not in "\t\n"},
    **dict.fromkeys((*range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)), 0xFFFD),
}
"""Symbols for control characters, including those that reverse the direction of text."""


def visible(text: str) -> str:
    """Return the text with symbols in place of control characters."""
    return text.translate(_SYMBOLS)


class SafeConsole(Console):
    """Shows control characters of texts as symbols: those in a source's file could command the terminal."""

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(visible(text), **options)  # before columns are measured

    def render(self, *arguments: Any, **options: Any) -> Iterable[Segment]:
        for segment in super().render(*arguments, **options):
            if segment.control:
                yield segment
            else:
                yield Segment(visible(segment.text), segment.style)


def output() -> Console:
    """For results."""
    return SafeConsole(width=None if sys.stdout.isatty() else _WIDE)


def errors() -> Console:
    """For progress, notes and errors; silent where the log is JSON."""
    return SafeConsole(stderr=True, quiet=is_json(), width=None if sys.stderr.isatty() else _WIDE)


def set_up_logging(verbose: bool) -> None:
    """Log to stderr as TAXI_LOG says, including retries and their reasons."""
    form = log_form()
    handler: logging.Handler = RichHandler(
        console=errors(),
        show_time=form == "time",
        omit_repeated_times=False,
        log_time_format="%Y-%m-%d %H:%M:%S",
        show_path=False,
        show_level=False,
    )
    handler.setFormatter(logging.Formatter("%(message)s"))
    if form == "json":
        handler = logging.StreamHandler()
        handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("nyc_taxi").setLevel(logging.DEBUG if verbose else logging.INFO)
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # its retries; the error after the last is ours
    from stamina import instrumentation

    instrumentation.set_on_retry_hooks([_say_retry])


def _say_retry(details: object) -> None:
    cause, wait = getattr(details, "caused_by", None), getattr(details, "wait_for", 0.0)
    if wait >= 1:
        what = str(cause).partition("; ")[0]  # the final error says what to do
        logging.getLogger("nyc_taxi").info("Trying again in %.0f s: %s", wait, what)
