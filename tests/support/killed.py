"""Loads in processes that kill themselves (SIGKILL) on the way; forked from one that is warm, to be quick."""

from __future__ import annotations

import multiprocessing
import os
import signal

from nyc_taxi.load.registry import REGISTRY, open_destination
from nyc_taxi.model.references import MonthFiles
from nyc_taxi.model.run import Run
from nyc_taxi.settings import load_settings
from nyc_taxi.transform.refined import RefinedMonth
from tests.support import archive
from tests.support.kill_points import KillPoint

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(
    [
        __name__,
        *(registration.implementation.partition(":")[0] for registration in REGISTRY.values()),
        *("psycopg2", "boto3", "google.cloud.storage", "google.cloud.bigquery"),
    ]
)


def load_and_kill(destination: str, files: MonthFiles, kill_point: str) -> None:
    """Load the month in a process that dies at the kill point; fails when it does not come there.

    For kill points see `tests.support.kill_points`.
    """
    process = _FORKS.Process(target=_load, args=(dict(os.environ), destination, files, kill_point))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL, f"{kill_point} was not passed"


def _load(environment: dict[str, str], destination: str, files: MonthFiles, kill_point: str) -> None:
    os.environ.clear()
    os.environ.update(environment)
    REGISTRY[archive.REGISTRATION.name] = archive.REGISTRATION
    opened = open_destination(destination, load_settings())
    KillPoint.parse(kill_point).kill_here()
    opened.replace_month(RefinedMonth.of(files), Run("killed", "cli"))
