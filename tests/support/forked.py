"""Loads in processes that kill themselves half-way; forked from one that is warm, which makes them quick."""

from __future__ import annotations

import multiprocessing
import os
import signal

from nyc_taxi.load.object_store.gcs.config import GcsConfig
from nyc_taxi.load.object_store.gcs.load import Gcs
from nyc_taxi.load.object_store.months import ObjectMonths
from nyc_taxi.load.object_store.s3.config import S3Config
from nyc_taxi.load.object_store.s3.load import S3
from nyc_taxi.model.references import MonthFiles
from nyc_taxi.model.run import Run
from nyc_taxi.transform.refined import RefinedMonth

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["pytest", "google.cloud.storage", "boto3", __name__])

Target = GcsConfig | S3Config


def load_and_kill(target: Target, files: MonthFiles, puts: int) -> None:
    """Load the month and SIGKILL the process as soon as it has put so many objects in place."""
    process = _FORKS.Process(target=_load, args=(target, files, puts))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL


def _load(target: Target, files: MonthFiles, puts: int) -> None:
    there: ObjectMonths = Gcs(target) if isinstance(target, GcsConfig) else S3(target)
    put, left = there._store.put, puts

    def put_and_die(*arguments):
        nonlocal left
        stored = put(*arguments)
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return stored

    there._store.put = put_and_die
    there.replace_month(RefinedMonth.of(files), Run("killed", "cli"))
