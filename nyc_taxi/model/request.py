"""The load request: service, month, source and destinations."""

from __future__ import annotations

from pydantic.dataclasses import dataclass

from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.record import CONFIG, Record


@dataclass(frozen=True, config=CONFIG)
class LoadRequest(Record):
    """A request to load one month; `nyc_taxi.pipelines.requests` creates it and fills in defaults."""

    service: Service
    month: Month
    source: str
    """A source in the syntax of `nyc_taxi.extract.sources.resolve`."""
    destinations: tuple[str, ...]
    """Destinations in the registry's order."""
    accept: bool = False
    """Whether to load the month even if it is implausible (`nyc_taxi.pipelines.plausibility`)."""
    force: bool = False
    """Whether to load the month even into destinations that already hold this version."""

    def __str__(self) -> str:
        return f"{self.service} {self.month}"
