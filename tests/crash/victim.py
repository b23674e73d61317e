"""Loads one month as `taxi run` does, and may kill itself at a chosen place of the code on the way.

    python -m tests.crash.victim MONTH SOURCE DESTINATION            run to the end
    ... --sites FILE     also write every place passed, in order, one a line
    ... --kill PLACE     SIGKILL itself when the place is passed for the first time

A place is a call made by, or a return from, a function of the package that downloads, cleans, writes
or loads: `destinations/postgres/swap.py:40:execute`. So every step's beginning and end is one, and
so is every statement sent to a database and every request sent to a store.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import nyc_taxi
from nyc_taxi import flow
from nyc_taxi.destinations.base import Run
from nyc_taxi.months import Month, Service

PACKAGE = str(Path(nyc_taxi.__file__).parent) + os.sep
WATCHED = ("flow.py", "clean.py", "stage.py", "parquet.py", "match.py", "download/", "destinations/")


class Watch:
    """A profile function that notes places, and ends the process at one of them."""

    def __init__(self, kill: str | None) -> None:
        self._kill = kill
        self._lock = threading.Lock()
        self.places: dict[str, None] = {}

    def __call__(self, frame: FrameType, event: str, callee: Any) -> None:
        file = frame.f_code.co_filename
        if event not in ("c_call", "call", "return") or not file.startswith(PACKAGE):
            return
        name = file.removeprefix(PACKAGE)
        if not name.startswith(WATCHED):
            return
        what = getattr(callee, "__name__", "?") if event == "c_call" else event
        place = f"{name}:{frame.f_lineno}:{what}"
        if place == self._kill:
            os.kill(os.getpid(), signal.SIGKILL)
        with self._lock:
            self.places[place] = None


def main() -> None:
    """Run as the command line says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("month")
    parser.add_argument("source")
    parser.add_argument("destination")
    parser.add_argument("--sites", type=Path)
    parser.add_argument("--kill")
    asked = parser.parse_args()
    watch = Watch(asked.kill)
    if asked.kill or asked.sites:
        threading.setprofile(watch)
        sys.setprofile(watch)
    flow.run_month(
        Service.GREEN,
        Month.parse(asked.month),
        asked.source,
        [asked.destination],
        Run(f"crash-{os.getpid()}", "cli"),
    )
    sys.setprofile(None)
    if asked.sites:
        asked.sites.write_text("\n".join(watch.places))


if __name__ == "__main__":
    main()
