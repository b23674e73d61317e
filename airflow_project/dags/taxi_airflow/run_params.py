"""The params that people set when they trigger a DAG."""

from __future__ import annotations

from airflow.providers.common.compat.sdk import Param

from nyc_taxi.load.registry import REGISTRY
from nyc_taxi.model.months import Service


def optional(title: str, description: str, **schema: str) -> Param:
    """A param that may be left empty."""
    return Param(None, type=["null", "string"], title=title, description=description, **schema)


_MONTH = r"^\d{4}-(0[1-9]|1[0-2])$"
MONTH = optional(
    "Month", "Such as 2020-04. Empty: the newest month published at the run's date.", pattern=_MONTH
)
SINCE = optional("Since", "The first month to check. Empty: half a year ago.", pattern=_MONTH)
SOURCE = optional(
    "Source", "auto, tlc, csv, sample, a folder, a file, a URL or gs://bucket/file. Empty: TAXI_SOURCE."
)
DESTINATIONS = optional(
    "Destinations", f"Names separated by commas: {', '.join(REGISTRY)}. Empty: TAXI_DESTINATIONS."
)
ACCEPT = Param(
    False,
    type="boolean",
    title="Accept",
    description="Load the month even if it looks like a wrong or truncated file; the ledger records that.",
)
SERVICES = Param(
    "yellow,green",
    type="string",
    title="Services",
    description=f"Names separated by commas: {', '.join(Service)}.",
)
