"""Structured events: what every step of a run came to, the same from the command line, Mage and Airflow.

The steps of `nyc_taxi.pipelines` emit them; an orchestrator only says which run they belong to (`bound`).
With TAXI_LOG=json each event is one line of JSON in the log, otherwise a sentence of the level DEBUG.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import os
import time
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any, Literal

import pydantic

from nyc_taxi.model.run import Run
from nyc_taxi.telemetry import metrics

log = logging.getLogger(__name__)

_run: ContextVar[Run | None] = ContextVar("run", default=None)


class Event(pydantic.BaseModel):
    """One event. In JSON, fields without a value are left out."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", defer_build=True)

    taxi_event: Literal["step", "month", "pending", "log", "succeeded", "retried", "failed"]
    """`step`: a step of a run has ended. `month`: Airflow has compared all destinations with the Parquet.
    `pending`: Airflow has found a month to load. `log`: any other message. `succeeded`, `retried` and
    `failed`: an Airflow task."""
    time: dt.datetime = pydantic.Field(default_factory=lambda: dt.datetime.now(dt.UTC))
    """UTC."""
    severity: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = "INFO"
    message: str | None = None
    """Of `log`: the sentence."""
    run_id: str | None = None
    """As in the ledger."""
    orchestrator: str | None = None
    """`cli`, `mage` or `airflow`."""
    service: str | None = None
    month: str | None = None
    """`YYYY-MM`."""
    step: str | None = None
    """`download`, `clean`, `derive`, `parquet` or `load`; `zones` and `bikeshare` in Airflow."""
    destination: str | None = None
    """Of `load`."""
    status: Literal["ok", "skipped", "failed"] | None = None
    """Of a step; `skipped`: its result existed."""
    seconds: float | None = None
    rows: int | None = None
    """Rows read by `clean`, else trips."""
    quarantined: dict[str, int] | None = None
    """Rows by the first reason that quarantined them."""
    bytes: int | None = None
    """Size of the raw file (`download`) or of the Parquet (`parquet`)."""
    version: str | None = None
    error: str | None = None
    """The sentence of the error."""
    reason: str | None = None
    """Of `pending`: why the month is to be loaded."""
    dag: str | None = None
    task: str | None = None
    map_index: int | None = None
    try_number: int | None = None

    def to_json(self) -> str:
        """One line."""
        return self.model_dump_json(exclude_none=True)

    def __str__(self) -> str:
        """A sentence for people."""
        where = f" into {self.destination}" if self.destination else ""
        name = " ".join(filter(None, (self.service, self.month, self.step or self.taxi_event)))
        facts = [f"{self.seconds:.1f} s" if self.seconds is not None else "", self.error or self.status or ""]
        return f"{name}{where}: {', '.join(filter(None, facts))}"


@contextlib.contextmanager
def bound(run: Run) -> Iterator[None]:
    """Within it, events of this thread belong to the run."""
    token = _run.set(run)
    try:
        yield
    finally:
        _run.reset(token)


def current_run() -> Run | None:
    """The run that this thread's events belong to."""
    return _run.get()


@contextlib.contextmanager
def step(name: str, **facts: Any) -> Iterator[dict[str, Any]]:
    """Emit an event when the step ends, with its seconds; what the block puts into the dict is added."""
    started = time.monotonic()
    facts = {"status": "ok", **facts, "step": name}
    try:
        yield facts
    except BaseException as error:
        facts |= {"status": "failed", "severity": "ERROR", "error": str(error) or type(error).__name__}
        raise
    finally:
        emit("step", **facts, seconds=round(time.monotonic() - started, 3))


def emit(kind: str, **facts: Any) -> None:
    """Log an event of the current run, and count it where metrics are collected."""
    event = make_event(kind, **facts)
    level = logging.getLevelName(event.severity) if is_json() else logging.DEBUG
    log.log(level, "%s", event.to_json() if is_json() else event, extra={"taxi_event": event})
    metrics.record(event)


def make_event(kind: str, **facts: Any) -> Event:
    """An event of the current run."""
    run = _run.get()
    who = {"run_id": run.run_id, "orchestrator": run.orchestrator} if run else {}
    values = {**who, **facts}
    for name in ("service", "month"):
        values[name] = str(values[name]) if values.get(name) else None
    return Event.model_validate({"taxi_event": kind, **values})


def is_json() -> bool:
    """Whether TAXI_LOG asks for lines of JSON; read here as events need no settings."""
    return os.environ.get("TAXI_LOG") == "json"


class JsonFormatter(logging.Formatter):
    """Each record as one line of JSON: an event as it is, anything else as an event `log`."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        event = getattr(record, "taxi_event", None)
        if event is None:
            event = make_event("log", severity=record.levelname, message=record.getMessage())
        return str(event.to_json())
