"""Jobs whose names follow from what they do, so that a run finds what a killed one began.

BigQuery runs a job to its end whatever becomes of the client, and refuses a second job of the same
name. A job is named by the dataset, month, version and step, and by a number that counts attempts:
the next one is only begun when those before it failed, or did what is no longer there.
"""

from __future__ import annotations

import contextlib
import itertools
import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from nyc_taxi.errors import DestinationError, DestinationUnreachable
from nyc_taxi.load.warehouse.bigquery.client import Connection
from nyc_taxi.load.warehouse.bigquery.errors import failure, translate_errors
from nyc_taxi.model.references import MonthFiles
from nyc_taxi.model.run import Run

if TYPE_CHECKING:
    Job = Any  # LoadJob or QueryJob: mypy does not see google's types

JOB_PATIENCE = 3600.0
"""Seconds to wait for one job; jobs may queue before they run."""


def job_name(connection: Connection, *parts: object) -> str:
    """The name of a job without the number of its attempt."""
    return _safe("-".join(map(str, ("nyc_taxi", connection.config.dataset, *parts))))


def month_job(connection: Connection, files: MonthFiles, step: str) -> str:
    """The name of a job of a month, without the number of its attempt."""
    return job_name(connection, files.service, files.month, files.version, step)


def labels(run: Run, **values: str) -> dict[str, str]:
    """The labels of a job in the project's lists and bills."""
    values |= {"run_id": run.run_id, "orchestrator": run.orchestrator}
    return {name: _safe(value.lower())[:63] for name, value in values.items()}


def month_labels(files: MonthFiles) -> dict[str, str]:
    """What a month's jobs are labelled with in addition."""
    return {"service": str(files.service), "month": str(files.month), "version": files.version}


def begin(
    connection: Connection, name: str, start: Callable[[str], Job], still_there: Callable[[], bool]
) -> Job:
    """A job of that name that runs or succeeded; otherwise `start` its next attempt, given the full name.

    `still_there` says whether what a finished job made can be used. Raises what `start` raises.
    """
    from google.api_core.exceptions import Conflict

    for attempt in itertools.count(1):
        job_id = f"{name}-{attempt}"
        job = _find(connection, job_id)
        if job is None:
            with translate_errors(connection.config):
                try:
                    return start(job_id)
                except Exception as error:
                    # begun a moment ago by another run, or by this one and the answer was lost
                    job = _find(connection, job_id)
                    if job is None and not isinstance(error, Conflict):
                        raise
        if job is None:
            continue  # of an account whose jobs we may not see
        if job.state != "DONE" or (job.error_result is None and still_there()):
            return job
    raise AssertionError("an attempt is either there or started")


def wait_for_running(connection: Connection, name: str) -> None:
    """Wait for the end of a job of that name that another run began, however it ends."""
    for attempt in itertools.count(1):
        job = _find(connection, f"{name}-{attempt}")
        if job is None:
            return
        if job.state != "DONE":
            with contextlib.suppress(DestinationError):
                finish(connection, job)


def finish(connection: Connection, job: Job) -> None:
    """Wait for a job's end; raises DestinationError or DestinationUnreachable when it failed."""
    deadline = time.monotonic() + JOB_PATIENCE
    pause = 0.05
    while job.state != "DONE":
        if time.monotonic() > deadline:
            raise DestinationUnreachable(
                f"{connection.config.where}: the job {job.job_id} has not finished within {JOB_PATIENCE:.0f}"
                " s; run the month again later to pick up its result."
            )
        time.sleep(pause)
        pause = min(pause * 1.5, 2.0)
        with translate_errors(connection.config):
            job.reload(**connection.options)
    if job.error_result:
        raise failure(connection.config, job.job_id, job.error_result)


def _find(connection: Connection, job_id: str) -> Job | None:
    from google.api_core.exceptions import Forbidden, NotFound

    with translate_errors(connection.config):
        try:
            return connection.client.get_job(job_id, location=connection.location, **connection.options)
        except (NotFound, Forbidden):
            return None


def _safe(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "-", text)
