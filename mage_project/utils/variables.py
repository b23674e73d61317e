"""What a run was asked for: the pipeline's variables `service`, `month` and `source`, with their defaults."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nyc_taxi.destinations.base import Run
from nyc_taxi.errors import SettingsError
from nyc_taxi.months import Month, Service, expected_last
from nyc_taxi.settings import settings


@dataclass(frozen=True)
class Asked:
    """A month of a service, and where it is to come from."""

    service: Service
    month: Month
    source: str

    @classmethod
    def from_variables(cls, variables: Mapping[str, Any]) -> Asked:
        """Read a block's keyword arguments; raises SettingsError that names a variable at fault.

        Without `month` it is the newest month TLC should have published at the run's
        `execution_date` (which Mage gives to triggered runs only; today otherwise).
        """
        month = variables.get("month")
        return cls(
            service=Service.parse(variables.get("service") or Service.GREEN),
            month=Month.parse(month) if month else expected_last(execution_day(variables)),
            source=variables.get("source") or settings().source,
        )


def execution_day(variables: Mapping[str, Any]) -> dt.date:
    """The day on which a run was due, which Mage gives to triggered runs only; today otherwise."""
    moment = variables.get("execution_date")
    if isinstance(moment, str):  # given by hand as a runtime variable
        try:
            moment = dt.datetime.fromisoformat(moment)
        except ValueError:
            raise SettingsError(f"execution_date {moment!r} is not a date: write it as 2024-03-02.") from None
    return moment.date() if moment else dt.datetime.now(dt.UTC).date()


def run_of(variables: Mapping[str, Any]) -> Run:
    """Who loads, for the ledger: Mage's number of the pipeline run, or the moment of a run without one."""
    number = variables.get("pipeline_run_id")
    return Run(str(number or f"{dt.datetime.now(dt.UTC):manual-%Y%m%dT%H%M%S}"), orchestrator="mage")
