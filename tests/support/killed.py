"""Loads a month and kills itself (SIGKILL) on the way.

    python -m tests.support.killed DESTINATION FILES KILL_POINT

FILES is the month's reference as JSON; for KILL_POINT see `tests.support.kill_points`.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys

from nyc_taxi.load.registry import open_destination
from nyc_taxi.model.references import MonthFiles
from nyc_taxi.model.run import Run
from nyc_taxi.settings import PROJECT, load_settings
from nyc_taxi.transform.refined import RefinedMonth
from tests.support.kill_points import KillPoint


def load_and_kill(destination: str, files: MonthFiles, kill_point: str) -> None:
    """Load the month in a process that dies at the kill point; fails when it does not come there."""
    command = [sys.executable, "-m", __name__, destination, json.dumps(files.to_dict()), kill_point]
    done = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, check=False)
    assert done.returncode == -signal.SIGKILL, f"{kill_point} was not passed: {done.stderr}"


def main() -> None:
    """Run as the command line says."""
    name, reference, text = sys.argv[1:]
    kill_point = KillPoint.parse(text)
    destination, files = open_destination(name, load_settings()), MonthFiles.from_dict(json.loads(reference))
    kill_point.kill_here()
    destination.replace_month(RefinedMonth.of(files), Run("killed", "cli"))


if __name__ == "__main__":
    main()
