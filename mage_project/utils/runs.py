"""Runs of taxi_trips in Mage's database: other pipelines start them, and a run records its month."""

from __future__ import annotations

from collections.abc import Mapping

from mage_ai.orchestration.db import db_connection
from mage_ai.orchestration.db.models.schedules import PipelineRun
from mage_ai.orchestration.triggers.api import trigger_pipeline

from nyc_taxi.model.request import LoadRequest

TRIGGER = "started by pipelines"
"""The trigger in taxi_trips/triggers.yaml that these runs belong to; its timeout applies to them."""

_Status = PipelineRun.PipelineRunStatus


def start_once(variables: Mapping[str, str]) -> tuple[int, bool]:
    """Start a run of taxi_trips with these variables; returns its id, and whether it is new.

    If a run of the same service and month is waiting or running, no other one is started: it would find
    nothing to do.
    """
    _open_session()
    active = PipelineRun.query.filter(
        PipelineRun.pipeline_uuid == "taxi_trips",
        PipelineRun.status.in_([_Status.INITIAL, _Status.RUNNING]),
    )
    for run in active.all():
        if all((run.variables or {}).get(name) == variables[name] for name in ("service", "month")):
            return int(run.id), False
    run = trigger_pipeline("taxi_trips", variables=dict(variables), schedule_name=TRIGGER)
    return int(run.id), True


def record_month(number: int, request: LoadRequest) -> None:
    """Record which month a run loads among its variables, which the page *Runs* shows and searches.

    A retry of the run then loads the same month, even if a newer one is published by then.
    """
    run = find_run(number)
    if run is not None:
        month = {"service": str(request.service), "month": str(request.month)}
        run.update(variables={**(run.variables or {}), **month})


def find_run(number: int) -> PipelineRun | None:
    """The run of this number, if there is one."""
    _open_session()
    return PipelineRun.query.get(number)


def _open_session() -> None:
    if db_connection.session is None:  # in the editor's kernel no session is open yet
        db_connection.start_session()
