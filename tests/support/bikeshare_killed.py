"""Run a day in processes that kill themselves (SIGKILL), forked from a warm process."""

from __future__ import annotations

import multiprocessing
import os
import signal

from nyc_taxi.pipelines.bikeshare.flow import run_day
from tests.support.bikeshare import DAY, RUN, configured
from tests.support.kill_points import KillPoint

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["sqlalchemy", "google.cloud.storage", "pyarrow.parquet", __name__])


def run_and_kill(environment: dict[str, str], kill_point: str) -> None:
    """Run the day in a process that dies at the kill point (see `tests.support.kill_points`)."""
    process = _FORKS.Process(target=_run, args=(environment, KillPoint.parse(kill_point)))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL, f"{kill_point} was not passed"


def _run(environment: dict[str, str], kill_point: KillPoint) -> None:
    os.environ.update(environment)
    kill_point.kill_here()
    run_day(configured(), DAY, RUN)
