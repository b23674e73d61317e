"""How a block reports what it does: to its log and, when `make run` started Mage, to that terminal."""

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

from nyc_taxi.errors import TaxiError
from nyc_taxi.model.references import Reference

EVENTS_FD = "TAXI_EVENTS_FD"
"""Number of an open file to which events are written, one JSON object a line; `make run` sets it."""

INTERVAL = 0.1
"""Seconds between two events of progress."""


class Step(logging.Handler):
    """One block at work; what the package logs meanwhile is the step's too."""

    def __init__(self, name: str, context: Mapping[str, str]) -> None:
        super().__init__(logging.INFO)
        self.step = name
        self.context = " ".join(f"{key}={json.dumps(v) if ' ' in v else v}" for key, v in context.items())
        self._told = -math.inf

    def tell(self, event: str, **facts: Any) -> None:
        """Send one event; without a listener nothing happens."""
        listener = os.environ.get(EVENTS_FD)
        if listener:
            line = json.dumps({"step": self.step, "event": event, **facts}, default=str)
            with suppress(BrokenPipeError):  # the listener has gone; the work goes on
                os.write(int(listener), f"{line}\n".encode())

    def emit(self, record: logging.LogRecord) -> None:
        """A sentence of the package, such as what it need not do again."""
        self.say(record.getMessage())
        self.tell("note", text=record.getMessage())

    def progress(self, done: int, total: int | None) -> None:
        """Progress of the step in its own unit (bytes, rows); cheap to call often."""
        now = time.monotonic()
        if done == total or now - self._told >= INTERVAL:
            self._told = now
            self.tell("progress", done=done, total=total)

    def say(self, text: str) -> None:
        """Write a line to the block's log, with what the run is about behind it."""
        say(f"{text} [{self.context}]" if self.context else text)

    def outputs(self, preview: pd.DataFrame, reference: Reference | dict[str, Any]) -> list[Any]:
        """The block's two outputs: a preview for people, and a reference for the next block."""
        plain = reference if isinstance(reference, dict) else reference.to_dict()
        self.tell("outputs", reference=plain)
        return [preview, plain]


@contextmanager
def step(name: str, context: Mapping[str, str] | None = None) -> Iterator[Step]:
    """Report when a block starts, finishes (with its seconds) or fails (with the reason).

    Every line of its log ends with the context: service, month and run.
    """
    current = Step(name, context or {})
    package = logging.getLogger("nyc_taxi")
    package.setLevel(logging.INFO)
    package.addHandler(current)
    current.tell("started")
    started = time.monotonic()
    try:
        yield current
    except Exception as error:
        expected = isinstance(error, TaxiError)
        told = str(error) if expected else f"{type(error).__name__}: {error}"
        current.tell("failed", error=told)
        current.say(f"{name} failed: {told}")
        raise
    finally:
        package.removeHandler(current)
    seconds = time.monotonic() - started
    current.say(f"{name}: {seconds:.1f} s")
    current.tell("finished", seconds=seconds)


def say(text: str) -> None:
    """Write to the block's log: in Mage that is its standard output."""
    print(text)  # noqa: T201
