"""Verification: whether every destination holds what its ledger says, and the lake what its manifests say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from nyc_taxi.lake.current import current_folder, current_months
from nyc_taxi.lake.lake import Lake
from nyc_taxi.lake.versions import read_month
from nyc_taxi.load.registry import open_destination
from nyc_taxi.model.months import Month, Service
from nyc_taxi.settings import Settings

LAKE, WORKSPACE = "lake", "workspace"


@dataclass(frozen=True)
class Verified:
    """A month in one place, and how its data differs from what is recorded."""

    place: str
    """A destination, LAKE or WORKSPACE."""
    service: Service
    month: Month
    damage: str | None
    """None: the data agrees with what is recorded."""

    def __str__(self) -> str:
        """One line for people."""
        return f"{self.service} {self.month}: {self.place} {self.damage or 'agrees with what is recorded'}"


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


def verify_lake(
    settings: Settings, service: Service | None = None, month: Month | None = None
) -> Iterator[Verified]:
    """Compare raw files and refined versions with their checksums: one result for each file and version.

    Reads all of them, which a bucket charges for. Raises DestinationError.
    """
    lake = Lake(settings)
    for raw in lake.raw.held(service, month):
        if raw.month == (month or raw.month):
            yield Verified(LAKE, raw.service, raw.month, lake.raw.find_damage(raw))
    for files in lake.versions.held(service, month):
        if files.month == (month or files.month):
            yield Verified(LAKE, files.service, files.month, lake.versions.find_damage(files))


def verify_workspace(
    settings: Settings, service: Service | None = None, month: Month | None = None
) -> Iterator[Verified]:
    """Look whether the current version of each month in the workspace is complete."""
    for generated in (False, True):
        for each in current_months(settings.workspace, generated=generated):
            if each[0] == (service or each[0]) and each[1] == (month or each[1]):
                folder = current_folder(settings.workspace, *each, generated=generated)
                is_whole = folder is not None and read_month(folder) is not None
                yield Verified(WORKSPACE, *each, None if is_whole else "lacks files of the current version")
