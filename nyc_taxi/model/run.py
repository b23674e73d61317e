"""Who runs, and with which settings: handed down from the command line, a Mage block or an Airflow task."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass

from nyc_taxi.settings import Settings


@dataclass(frozen=True)
class Run:
    """Who loads: written into the ledger beside what was loaded."""

    run_id: str
    orchestrator: str
    """`cli`, `mage` or `airflow`."""
    accepted: str | None = None
    """What is implausible about the month that is loaded, if somebody accepted it."""
    destinations: tuple[str, ...] = ()
    """The destinations that it is limited to; empty if it is not."""

    @classmethod
    def new(cls, orchestrator: str) -> Run:
        """A run without an id from its orchestrator gets one: its start time, and a random part."""
        return cls(
            f"{orchestrator}-{dt.datetime.now(dt.UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:6]}", orchestrator
        )


@dataclass(frozen=True)
class RunContext:
    """What every step of a run is given."""

    settings: Settings
    run: Run
