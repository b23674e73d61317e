"""What a run was asked for: the pipelines' variables, with their defaults."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from nyc_taxi.errors import SettingsError
from nyc_taxi.load.contract import Run, new_run_id
from nyc_taxi.load.registry import parse_names
from nyc_taxi.model.months import Month, Service, expected_last
from nyc_taxi.pipelines.pending import newest_published
from nyc_taxi.settings import settings

RUN_ID = "TAXI_RUN_ID"
"""The id of the run that a process of Mage was started for; set by `make run`."""


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


def settled(variables: Mapping[str, Any]) -> Asked:
    """What a run was asked for; without `month` the newest month that is published at its date."""
    asked = Asked.from_variables(variables)
    if variables.get("month"):
        return asked
    return replace(asked, month=newest_published(asked.service, asked.month, asked.source))


def destinations_of(variables: Mapping[str, Any]) -> list[str]:
    """The variable `destinations`, else TAXI_DESTINATIONS."""
    return parse_names(variables.get("destinations") or settings().destinations)


def services_of(variables: Mapping[str, Any]) -> list[Service]:
    """The variable `services`, names separated by commas."""
    return Service.parse_several(str(variables.get("services") or "yellow,green"))


def context_of(variables: Mapping[str, Any], month: Any = None) -> dict[str, str]:
    """What every line of a run's log says: service and month (of a reference, if given) and the run."""
    about = month if isinstance(month, Mapping) else vars(month) if month else variables
    named = {name: about.get(name) for name in ("service", "month")}
    named["run"] = variables.get("pipeline_run_id") or "by hand"
    return {name: str(value) for name, value in named.items() if value}


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
    """Who loads, for the ledger: Mage's number of the pipeline run, else the id that `make run` made for it.

    A block that is run by hand in the editor has neither and gets an id of its own.
    """
    number = variables.get("pipeline_run_id")
    return Run(str(number or os.environ.get(RUN_ID) or new_run_id("manual")), orchestrator="mage")
