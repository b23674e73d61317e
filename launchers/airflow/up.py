"""Airflow on this machine, without containers: `python -m launchers.airflow.up` (`make airflow-up`).

Starts an api-server, a scheduler that runs the tasks, and a DAG processor, on an embedded PostgreSQL; with
`--workers`, Celery workers run the tasks, as on several machines. One folder holds everything they write:
database, logs, shared keys, the only user's password, and `environment.sh`, which connects `airflow` commands
to this Airflow.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from launchers.airflow import celery
from launchers.airflow.environment import HOST, USER, exports, keys_in, settings_of, write_secret
from launchers.instance_lock import instance_lock
from launchers.leash import leash
from launchers.private_files import private_file, private_folder
from nyc_taxi.errors import SettingsError, TaxiError
from nyc_taxi.local import postgres
from nyc_taxi.settings import PROJECT, keep_writers_out, load_settings

PARTS = ("api-server", "scheduler", "dag-processor")
AIRFLOW = (sys.executable, "-m", "airflow")
PRELOADED = (sys.executable, "-m", "launchers.airflow.preload")

START_SECONDS = 300
"""Seconds until Airflow must be healthy; a slow machine needs 90."""
STOP_SECONDS = 20


@dataclass(frozen=True)
class Airflow:
    """A running Airflow."""

    url: str
    password: str
    environment: dict[str, str]
    """Environment for commands (`python -m airflow ...`) on this Airflow."""
    processes: dict[str, subprocess.Popen[bytes]]

    def token(self) -> str:
        """Return a token for the REST API, sent as `Authorization: Bearer ...`."""
        answer = httpx.post(f"{self.url}/auth/token", json={"username": USER, "password": self.password})
        answer.raise_for_status()
        return str(answer.json()["access_token"])


@contextlib.contextmanager
def running(
    home: Path, port: int, extra: dict[str, str] | None = None, workers: int = 0
) -> Iterator[Airflow]:
    """Run Airflow with its files in `home` for the duration of the context; `extra` adds to its environment.

    Without `workers` the scheduler runs the tasks. Raises SettingsError if an Airflow runs in `home` or if
    `port` is in use, and TaxiError naming the log of a component that does not start.
    """
    private_folder(home)
    if os.geteuid() == 0:
        home.chmod(0o711)  # the embedded server's account passes through
    private_folder(home / "logs")
    with instance_lock(home, port, "Airflow", "use it, or stop it") as lock:
        _refuse_taken(port)
        with leash() as hold, _started(home, port, extra or {}, workers, lock, hold) as airflow:
            yield airflow


@contextlib.contextmanager
def _started(
    home: Path, port: int, extra: dict[str, str], workers: int, lock: int, hold: Callable[[int], None]
) -> Iterator[Airflow]:
    server = postgres.ensure(home / "postgres")
    keys = keys_in(home / "keys.json")
    own = {**settings_of(home, port, server.url, keys), **extra}
    commands = {part: [*(PRELOADED if part == "scheduler" else AIRFLOW), part] for part in PARTS}
    if workers:
        broker = celery.broker(home)
        own |= broker.environment(server.url)
        share_nothing = {**os.environ, **own}.get("TAXI_LAKE") in ("gcs", "s3")
        commands = {
            "redis": broker.command,
            **commands,
            **celery.workers(home, workers, share_nothing),
        }
    write_secret(home / "environment.sh", exports(own))
    environment = {**os.environ, **own}
    processes: dict[str, subprocess.Popen[bytes]] = {}
    try:
        _migrate(home, environment)
        for part, command in commands.items():
            log = private_file(home / f"{part}.log").open("ab")
            processes[part] = subprocess.Popen(
                command,
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=[lock],  # held as long as any of them lives
            )
            hold(processes[part].pid)
        airflow = Airflow(f"http://{HOST}:{port}", keys["password"], environment, processes)
        _wait_until_healthy(airflow, home)
        yield airflow
    finally:
        _stop(processes)
        postgres.stop(home / "postgres")


def _refuse_taken(port: int) -> None:
    """Raise SettingsError where something listens: it would be taken for this Airflow."""
    with socket.socket() as probe:
        if not probe.connect_ex((HOST, port)):
            raise SettingsError(
                f"Port {port} is taken by another program: choose another one, such as AIRFLOW_PORT=8081."
            )


def _migrate(home: Path, environment: dict[str, str]) -> None:
    log = home / "migrate.log"
    with private_file(log).open("wb") as file:
        done = subprocess.run([*AIRFLOW, "db", "migrate"], env=environment, stdout=file, stderr=file)
    if done.returncode:
        raise TaxiError(f"Airflow's database could not be migrated: see {log}.")


def _wait_until_healthy(airflow: Airflow, home: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        for part, process in airflow.processes.items():
            if process.poll() is not None:
                raise TaxiError(
                    f"Airflow's {part} exited with code {process.returncode}: see {home / part}.log."
                )
        with contextlib.suppress(httpx.TransportError, ValueError, KeyError):
            health = httpx.get(f"{airflow.url}/api/v2/monitor/health").json()
            if {health[part]["status"] for part in ("scheduler", "dag_processor")} == {"healthy"}:
                return
        time.sleep(0.5)
    raise TaxiError(f"Airflow was not healthy after {START_SECONDS} s: see the logs in {home}.")


def _stop(processes: dict[str, subprocess.Popen[bytes]]) -> None:
    """Stop all components and their children; kills those that do not stop in time."""
    for process in processes.values():
        _signal(process, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    for process in processes.values():
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(0.1, deadline - time.monotonic()))
        _signal(process, signal.SIGKILL)
        process.wait()


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def main() -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="make airflow-up", description="Airflow on this machine.")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument(
        "--workers", type=int, default=0, help="number of Celery workers; 0: the scheduler runs the tasks"
    )
    options = parser.parse_args()
    keep_writers_out()
    load_settings()  # reads .env into os.environ
    home = PROJECT / ".airflow"
    write = sys.stderr.write
    write(f"Airflow starts (half a minute to two); logs are in {home}\n")
    for number in (signal.SIGTERM, signal.SIGHUP):  # a closed terminal must not leave processes behind
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, signal.default_int_handler)
    try:
        with running(home, options.port, workers=options.workers) as airflow:
            write(f"Airflow: {airflow.url}  user: {USER}  (Ctrl-C stops it)\n")
            write(f"Password: in {home / 'passwords.json'}\n")  # the terminal's output may be kept in a file
            write("For `airflow` commands in another shell: . .airflow/environment.sh\n")
            while all(process.poll() is None for process in airflow.processes.values()):
                time.sleep(0.5)
            ended = [part for part, process in airflow.processes.items() if process.poll() is not None]
            write(f"Airflow's {ended[0]} has ended: see {home / ended[0]}.log\n")
            return 1
    except TaxiError as error:
        write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        write("Airflow is stopped.\n")
        return 0


if __name__ == "__main__":
    sys.exit(main())
