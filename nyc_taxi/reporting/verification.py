"""Verification: whether every destination holds what its ledger says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from nyc_taxi.load.registry import open_destination
from nyc_taxi.model.months import Month, Service
from nyc_taxi.settings import Settings


@dataclass(frozen=True)
class Verified:
    """A month in a destination, and how its data differs from what is recorded."""

    destination: str
    service: Service
    month: Month
    damage: str | None
    """None: the data agrees with the ledger."""

    def __str__(self) -> str:
        """One line for people."""
        return f"{self.service} {self.month}: {self.destination} {self.damage or 'agrees with its ledger'}"


def verify_months(
    destinations: Iterable[str],
    settings: Settings,
    service: Service | None = None,
    month: Month | None = None,
) -> Iterator[Verified]:
    """Verify every recorded month, or those of a service, or one; raises what destinations raise."""
    for name in destinations:
        destination = open_destination(name, settings)
        for recorded in destination.recorded_months():
            if recorded[0] == (service or recorded[0]) and recorded[1] == (month or recorded[1]):
                yield Verified(name, *recorded, destination.find_damage(*recorded, thorough=True))
