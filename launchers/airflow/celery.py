"""Tasks run by Celery workers: how Airflow grows past one machine, tried on one.

With a lake in a bucket (TAXI_LAKE) the workers have nothing in common but the broker, Airflow's API, the
bucket and the databases, as on machines of their own: each has its own workspace. The broker is Redis, as
installed from the system's packages.
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
"""How many tasks a worker runs at once."""


@dataclass(frozen=True)
class Broker:
    """A Redis server to be started."""

    port: int
    command: list[str]

    def environment(self, database: str) -> dict[str, str]:
        """What makes Airflow use it; results are kept in Airflow's database."""
        options = {
            "CORE__EXECUTOR": "CeleryExecutor",
            "CELERY__BROKER_URL": f"redis://{HOST}:{self.port}/0",
            "CELERY__RESULT_BACKEND": f"db+{database}",
            "CELERY__WORKER_CONCURRENCY": str(TASKS),
        }
        return {f"AIRFLOW__{name}": value for name, value in options.items()}


def broker(home: Path) -> Broker:
    """A broker that keeps nothing on disk; raises SettingsError where Redis is not installed."""
    program = shutil.which("redis-server")
    if program is None:
        raise SettingsError("redis-server is not on PATH: install it (apt-get install redis-server).")
    port = free_port()
    options = {"--port": str(port), "--bind": HOST, "--dir": str(home), "--save": "", "--daemonize": "no"}
    return Broker(port, [program, *(part for option in options.items() for part in option)])


def workers(home: Path, count: int, share_nothing: bool = False) -> dict[str, list[str]]:
    """Command by name of the workers, each with a folder of its own for temporary files.

    `share_nothing`: each has a workspace of its own, too.

    The logs of tasks lie in one folder, so no worker has to serve its own.
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
