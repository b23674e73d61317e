"""Loads a month and kills itself (SIGKILL) at a place on the way.

    python -m tests.support.killed DESTINATION FILES PLACE

FILES is the month's reference as JSON. PLACE is `file:function:event`, with events as in
sys.setprofile: `duckdb/replace.py:commit:c_call` is just before the connection's commit is called from
that file, `c_return` just after; `call` and `return` are those of the package's own functions. A number
behind it, as in `...:return:2`, is which time.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from types import FrameType
from typing import Any

from nyc_taxi.load.contract import Run
from nyc_taxi.load.registry import open_destination
from nyc_taxi.model.references import MonthFiles
from nyc_taxi.settings import PROJECT


def load_and_kill(destination: str, files: MonthFiles, place: str) -> None:
    """Run this module to its violent end."""
    command = [sys.executable, "-m", __name__, destination, json.dumps(files.to_dict()), place]
    done = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, check=False)
    assert done.returncode == -signal.SIGKILL, f"{place} was not passed: {done.stderr}"


def main() -> None:
    """Run as the command line says."""
    destination, plain, place = sys.argv[1:]
    file, name, event, times = (place + ":1").split(":")[:4]
    left = int(times)

    def watch(frame: FrameType, happened: str, callee: Any) -> None:
        nonlocal left
        if happened == event and frame.f_code.co_filename.endswith(f"destinations/{file}"):
            called = callee.__name__ if happened.startswith("c_") else frame.f_code.co_name
            if called == name:
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

    there, files = open_destination(destination), MonthFiles.from_dict(json.loads(plain))
    sys.setprofile(watch)
    there.replace_month(files, Run("killed", "cli"))


if __name__ == "__main__":
    main()
