"""How a block reports its work: in its log and, when `make run` started Mage, as events to that terminal."""

from __future__ import annotations

import json
import logging
import math
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import pandas as pd

from mage_project.utils.references import reference_of, with_reference
from nyc_taxi.errors import TaxiError
from nyc_taxi.model.references import Reference
from nyc_taxi.model.run import Run
from nyc_taxi.telemetry import events

EVENTS_FD = "TAXI_EVENTS_FD"
"""Number of an open file that receives events, one JSON object per line; `make run` sets it."""

BY_HAND = "by hand"
"""The run of a block that is run in the editor."""

INTERVAL = 0.1
"""Seconds between two progress events."""


class Step(logging.Handler):
    """A running block. Messages that `nyc_taxi` logs in the meantime become part of the block's log."""

    def __init__(self, name: str, context: Mapping[str, str]) -> None:
        super().__init__(logging.INFO)
        self.step = name
        self.context = " ".join(f"{key}={json.dumps(v) if ' ' in v else v}" for key, v in context.items())
        self._last_progress = -math.inf

    def send_event(self, event: str, **facts: Any) -> None:
        """Send one event; does nothing if nobody listens."""
        listener = os.environ.get(EVENTS_FD)
        if listener:
            line = json.dumps({"step": self.step, "event": event, **facts}, default=str)
            with suppress(BrokenPipeError):  # the listener has ended; the block continues
                os.write(int(listener), f"{line}\n".encode())

    def emit(self, record: logging.LogRecord) -> None:
        """Handle a message of the package, such as that a month is already cleaned."""
        self.log(record.getMessage(), record)
        if not hasattr(record, "taxi_event"):  # `make run` shows steps itself
            self.send_event("note", text=record.getMessage())

    def progress(self, done: int, total: int | None) -> None:
        """Report progress in bytes or rows; sends at most one event per INTERVAL."""
        now = time.monotonic()
        if done == total or now - self._last_progress >= INTERVAL:
            self._last_progress = now
            self.send_event("progress", done=done, total=total)

    def log(self, text: str, record: logging.LogRecord | None = None) -> None:
        """Write a line to the block's log, followed by service, month and run, or as TAXI_LOG says."""
        if events.is_json():
            record = record or logging.makeLogRecord({"msg": text, "levelname": "INFO"})
            text = events.JsonFormatter().format(record)
        elif self.context:
            text = f"{text} [{self.context}]"
        # Mage logs the standard output of a block
        print(text)  # noqa: T201

    def output(self, rows: pd.DataFrame, reference: Reference | dict[str, Any]) -> pd.DataFrame:
        """The block's output: rows for people, which carry the reference for the next block."""
        output = with_reference(rows, reference)
        self.send_event("outputs", reference=reference_of(output))
        if shown := output.attrs.get("sample"):
            self.log(f"shown: {shown}")
        return output


@contextmanager
def step(name: str, context: Mapping[str, str] | None = None, title: str = "") -> Iterator[Step]:
    """Report that a block starts, and that it finishes (with its duration) or fails (with the reason).

    Each line of the log ends with `context`. `make run` shows `title`, by default the block's name.
    """
    current = Step(name, context or {})
    package = logging.getLogger("nyc_taxi")
    package.setLevel(logging.INFO)
    package.addHandler(current)
    package.propagate = False  # Mage logs what the root logger prints, too
    current.send_event("started", title=title or name.replace("_", " ").capitalize())
    started = time.monotonic()
    try:
        with events.bound(Run((context or {}).get("run", BY_HAND), "mage")):
            yield current
    except Exception as error:
        reason = str(error) if isinstance(error, TaxiError) else f"{type(error).__name__}: {error}"
        current.send_event("failed", error=reason)
        current.log(f"{name} failed: {reason}")
        raise
    finally:
        package.removeHandler(current)
        package.propagate = True
    seconds = time.monotonic() - started
    current.log(f"{name}: {seconds:.1f} s")
    current.send_event("finished", seconds=seconds)
