"""Runs of a day in processes that kill themselves (SIGKILL) on the way, forked from one that is warm."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from types import FrameType
from typing import Any

from nyc_taxi.pipelines.bikeshare.flow import run_day
from nyc_taxi.settings import settings
from tests.support.bikeshare import DAY, RUN

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["pymysql.cursors", "google.cloud.storage", "pyarrow.parquet", __name__])


def run_and_kill(environment: dict[str, str], place: str) -> None:
    """Run the day up to a place, `file:function:event:time`, where the process ends.

    Events are those of sys.setprofile: `return` of a function of the package, `c_call` and `c_return` of
    what it calls.
    """
    process = _FORKS.Process(target=_run, args=(environment, place))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL, f"{place} was not passed"


def _run(environment: dict[str, str], place: str) -> None:
    os.environ.update(environment)
    settings.cache_clear()
    file, name, event, times = place.split(":")
    left = int(times)

    def watch(frame: FrameType, happened: str, callee: Any) -> None:
        nonlocal left
        if happened != event or not frame.f_code.co_filename.endswith(f"nyc_taxi/pipelines/bikeshare/{file}"):
            return
        called = callee.__name__ if happened.startswith("c_") else frame.f_code.co_name
        left -= called == name
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(watch)
    run_day(DAY, RUN)
