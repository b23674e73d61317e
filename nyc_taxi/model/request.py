"""The load request: what to load, from where, and into what."""

from __future__ import annotations

from pydantic.dataclasses import dataclass

from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.record import CONFIG, Record


@dataclass(frozen=True, config=CONFIG)
class LoadRequest(Record):
    """One month of a service. Made by `nyc_taxi.pipelines.requests`, which fills in defaults."""

    service: Service
    month: Month
    source: str
    """As `nyc_taxi.extract.sources.resolve` reads it."""
    destinations: tuple[str, ...]
    """In the registry's order."""
    accept: bool = False
    """Load the month even if it is implausible (`nyc_taxi.pipelines.plausibility`)."""
    force: bool = False
    """Load the month even into destinations that hold this version already."""

    def __str__(self) -> str:
        return f"{self.service} {self.month}"
