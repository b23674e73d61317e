"""Runs of taxi_trips that other pipelines ask for."""

from __future__ import annotations

from collections.abc import Mapping

from mage_ai.orchestration.db import db_connection
from mage_ai.orchestration.db.models.schedules import PipelineRun
from mage_ai.orchestration.triggers.api import trigger_pipeline

TRIGGER = "asked by pipelines"
"""The trigger in taxi_trips/triggers.yaml whose runs these are; its timeout is theirs."""

_Status = PipelineRun.PipelineRunStatus


def start_once(wanted: Mapping[str, str]) -> tuple[int, bool]:
    """The number of the run that loads a month, and whether it is new.

    `wanted` are the run's variables. A run that waits or works on the same month will do: asking
    twice would only make the second find nothing to do.
    """
    if db_connection.session is None:  # in the editor's kernel nobody has opened it yet
        db_connection.start_session()
    same = ("service", "month")
    active = PipelineRun.query.filter(
        PipelineRun.pipeline_uuid == "taxi_trips",
        PipelineRun.status.in_([_Status.INITIAL, _Status.RUNNING]),
    )
    for run in active.all():
        if all((run.variables or {}).get(name) == wanted[name] for name in same):
            return int(run.id), False
    run = trigger_pipeline("taxi_trips", variables=dict(wanted), schedule_name=TRIGGER)
    return int(run.id), True
