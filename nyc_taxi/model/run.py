"""The identity and settings of a run, passed down from the command line, a Mage block or an Airflow task."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass

from nyc_taxi.settings import Settings


@dataclass(frozen=True)
class Run:
    """The identity of a run, as recorded in the ledger."""

    run_id: str
    orchestrator: str
    """`cli`, `mage` or `airflow`."""
    accepted: str | None = None
    """The implausibility of the loaded month that a user accepted."""
    destinations: tuple[str, ...] = ()
    """The destinations that the run is limited to; empty for no limit."""

    @classmethod
    def new(cls, orchestrator: str) -> Run:
        """Return a run with a new id, made of the start time and a random part."""
        return cls(
            f"{orchestrator}-{dt.datetime.now(dt.UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:6]}", orchestrator
        )


@dataclass(frozen=True)
class RunContext:
    """The context of every step of a run."""

    settings: Settings
    run: Run
