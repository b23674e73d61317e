"""The load request, the run and the log context of a block, from the variables that Mage passes to it."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mage_project.utils.steps import BY_HAND
from nyc_taxi.errors import SettingsError, SourceUnreachable
from nyc_taxi.model.months import Month, expected_last
from nyc_taxi.model.request import LoadRequest
from nyc_taxi.model.run import Run, RunContext
from nyc_taxi.pipelines.offline import choose_source
from nyc_taxi.pipelines.requests import make_request, today
from nyc_taxi.settings import load_settings

RUN_ID = "TAXI_RUN_ID"
"""The run id of all blocks in a process of Mage; set by `make run`."""


def request_of(variables: Mapping[str, Any]) -> LoadRequest:
    """The load request of a run; raises SettingsError that names the invalid variable.

    A run of Mage's page Backfills loads the month of its execution date. Any other run without `month` loads
    the newest month that is published on its execution date. Without a network, a block that is run by hand
    in the editor gets a generated month, as `make run` does.
    """
    settings, day = load_settings(), execution_day(variables)
    by_hand = _run_id(variables) is None
    if is_backfill(variables):
        variables = {**variables, "month": str(Month.of(day))}
    elif variables.get("month"):
        print(  # noqa: T201
            f"Loading the month {variables['month']}, as the variable says; leave it empty for the newest"
            " published month."
        )
    if not by_hand:
        return make_request(variables, settings, day)
    try:
        request = make_request(variables, settings, day)
    except SourceUnreachable:
        request = make_request({**variables, "month": str(expected_last(day))}, settings)
    source, message = choose_source(request, settings)
    if source is None:
        raise SourceUnreachable(message)
    if message:
        print(message)  # noqa: T201
    return replace(request, source=source)


def is_backfill(variables: Mapping[str, Any]) -> bool:
    """Whether the run is one of Mage's page Backfills."""
    run_id = variables.get("pipeline_run_id")
    if not run_id:
        return False
    from mage_project.utils.runs import find_run  # imports Mage's database, which runs by hand do not need

    run = find_run(run_id)
    return run is not None and run.backfill_id is not None


def run_context(variables: Mapping[str, Any]) -> RunContext:
    """The settings and the run: Mage's id of the pipeline run, else the id that `make run` has set.

    A block that is run by hand in the editor has neither, and gets a new id.
    """
    run_id = _run_id(variables)
    return RunContext(load_settings(), Run(str(run_id), "mage") if run_id else Run.new("mage"))


def _run_id(variables: Mapping[str, Any]) -> Any:
    return variables.get("pipeline_run_id") or os.environ.get(RUN_ID)


def log_context(
    variables: Mapping[str, Any], reference: Mapping[str, Any] | LoadRequest | None = None
) -> dict[str, str]:
    """Service, month and run, with which each log line ends; service and month are those of `reference`."""
    month = vars(reference) if isinstance(reference, LoadRequest) else reference or variables
    context = {name: month.get(name) for name in ("service", "month")}
    context["run"] = _run_id(variables) or BY_HAND
    return {name: str(value) for name, value in context.items() if value}


def execution_day(variables: Mapping[str, Any]) -> dt.date:
    """The day for which a run is scheduled; today if it was started by hand, without an `execution_date`."""
    moment = variables.get("execution_date")
    if isinstance(moment, str):  # from --runtime-vars
        try:
            moment = dt.datetime.fromisoformat(moment)
        except ValueError:
            raise SettingsError(
                f"execution_date {moment!r} is not a date: use the form 2024-03-02."
            ) from None
    return moment.date() if moment else today()
