"""Celery workers on one machine, to test how Airflow scales to several.

With a lake in a bucket (TAXI_LAKE) the workers share only the broker, Airflow's API, the bucket and the
databases, as if on separate machines; each has its own workspace. The broker is Redis from the system's
packages.
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from nyc_taxi.errors import SettingsError
from nyc_taxi.local.process import free_port

HOST = "127.0.0.1"
TASKS = 2
"""Concurrent tasks per worker."""


@dataclass(frozen=True)
class Broker:
    """The command and URL of a Redis server."""

    port: int
    command: list[str]

    def environment(self, database: str) -> dict[str, str]:
        """Return the variables that make Airflow use the broker; results are kept in Airflow's database."""
        options = {
            "CORE__EXECUTOR": "CeleryExecutor",
            "CELERY__BROKER_URL": f"redis://{HOST}:{self.port}/0",
            "CELERY__RESULT_BACKEND": f"db+{database}",
            "CELERY__WORKER_CONCURRENCY": str(TASKS),
        }
        return {f"AIRFLOW__{name}": value for name, value in options.items()}


def broker(home: Path) -> Broker:
    """Return a broker without persistence; raises SettingsError if Redis is not installed."""
    program = shutil.which("redis-server")
    if program is None:
        raise SettingsError("redis-server is not on PATH: install it (apt-get install redis-server).")
    port = free_port()
    options = {"--port": str(port), "--bind": HOST, "--dir": str(home), "--save": "", "--daemonize": "no"}
    return Broker(port, [program, *(part for option in options.items() for part in option)])


def workers(home: Path, count: int, share_nothing: bool = False) -> dict[str, list[str]]:
    """Return the workers' commands by name, each with its own folder of temporary files.

    With `share_nothing`, each also has its own workspace. All task logs go to one folder, so that no worker
    has to serve them.
    """
    commands = {}
    for number in range(1, count + 1):
        name = f"worker-{number}"
        folder = home / name
        folder.mkdir(exist_ok=True)
        own = [f"TMPDIR={folder}", *([f"TAXI_WORKSPACE={folder / 'workspace'}"] if share_nothing else [])]
        commands[name] = [
            *("env", *own, sys.executable, "-m", "launchers.airflow.preload", "celery", "worker"),
            *("--celery-hostname", f"{name}@{HOST}", "--pid", str(folder / "pid"), "--skip-serve-logs"),
        ]
    return commands
