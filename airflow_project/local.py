"""Airflow on this machine, without containers: `python -m airflow_project.local` (`make airflow-up`).

An api-server, a scheduler that runs the tasks, and a DAG processor, over an embedded PostgreSQL. Everything
they write lies in one folder: database, logs, the keys they share and the password of the only user.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from nyc_taxi.errors import TaxiError
from nyc_taxi.settings import PROJECT, settings
from nyc_taxi.standins import postgres

DAGS = PROJECT / "airflow_project" / "dags"
HOST = "127.0.0.1"
USER = "admin"
PARTS = ("api-server", "scheduler", "dag-processor")
AIRFLOW = (sys.executable, "-m", "airflow")

START_SECONDS = 300
"""How long Airflow may take to be healthy; a slow machine needs a minute and a half."""
STOP_SECONDS = 20


@dataclass(frozen=True)
class Airflow:
    """A running Airflow."""

    url: str
    password: str
    environment: dict[str, str]
    """For commands (`python -m airflow ...`) that are to talk to it."""
    processes: dict[str, subprocess.Popen[bytes]]

    def token(self) -> str:
        """A token for the REST API, sent as `Authorization: Bearer ...`."""
        answer = httpx.post(f"{self.url}/auth/token", json={"username": USER, "password": self.password})
        answer.raise_for_status()
        return str(answer.json()["access_token"])


@contextlib.contextmanager
def running(home: Path, port: int, extra: dict[str, str] | None = None) -> Iterator[Airflow]:
    """Start Airflow with its files in `home`, and stop it in the end; `extra`: more environment.

    Raises TaxiError that names the log of a part that does not start.
    """
    home.mkdir(parents=True, exist_ok=True)
    server = postgres.ensure(home / "postgres")
    keys = _keys(home / "keys.json")
    environment = {**os.environ, **_environment(home, port, server.url, keys), **(extra or {})}
    processes: dict[str, subprocess.Popen[bytes]] = {}
    try:
        _migrate(home, environment)
        for part in PARTS:
            log = (home / f"{part}.log").open("ab")
            processes[part] = subprocess.Popen(
                [*AIRFLOW, part], env=environment, stdout=log, stderr=log, start_new_session=True
            )
        airflow = Airflow(f"http://{HOST}:{port}", keys["password"], environment, processes)
        _wait_until_healthy(airflow, home)
        yield airflow
    finally:
        _stop(processes)
        postgres.stop(home / "postgres")


def _environment(home: Path, port: int, database: str, keys: dict[str, str]) -> dict[str, str]:
    url = f"http://{HOST}:{port}"
    (home / "passwords.json").write_text(json.dumps({USER: keys["password"]}))
    (home / "passwords.json").chmod(0o600)
    options = {
        "CORE__DAGS_FOLDER": DAGS,
        "CORE__LOAD_EXAMPLES": False,
        "CORE__EXECUTOR": "LocalExecutor",
        "CORE__PARALLELISM": 8,
        "CORE__FERNET_KEY": keys["fernet"],
        "CORE__DAGBAG_IMPORT_TIMEOUT": 120,
        "CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": home / "passwords.json",
        "DATABASE__SQL_ALCHEMY_CONN": database.replace("postgresql://", "postgresql+psycopg2://"),
        "API__HOST": HOST,
        "API__PORT": port,
        "API__BASE_URL": url,
        "API__WORKERS": 1,
        "API__SECRET_KEY": keys["session"],
        "API_AUTH__JWT_SECRET": keys["jwt"],
        "DAG_PROCESSOR__REFRESH_INTERVAL": 30,
        "USAGE_DATA_COLLECTION__ENABLED": False,
    }
    return {
        "AIRFLOW_HOME": str(home),
        "PYTHONPATH": str(DAGS),
        # forks that ask macOS for proxies crash; nothing here needs one for the loopback
        "NO_PROXY": ",".join(filter(None, [os.environ.get("NO_PROXY"), HOST])),
        **{f"AIRFLOW__{name}": str(value) for name, value in options.items()},
    }


def _keys(path: Path) -> dict[str, str]:
    """The keys of this Airflow, at random on first use."""
    if not path.exists():
        keys = {name: secrets.token_hex(32) for name in ("jwt", "session")}
        keys["fernet"] = urlsafe_b64encode(secrets.token_bytes(32)).decode()
        keys["password"] = secrets.token_urlsafe(12)
        path.touch(0o600)
        path.write_text(json.dumps(keys))
    kept: dict[str, str] = json.loads(path.read_text())
    return kept


def _migrate(home: Path, environment: dict[str, str]) -> None:
    log = home / "migrate.log"
    with log.open("wb") as file:
        done = subprocess.run([*AIRFLOW, "db", "migrate"], env=environment, stdout=file, stderr=file)
    if done.returncode:
        raise TaxiError(f"Airflow's database could not be made ready: see {log}.")


def _wait_until_healthy(airflow: Airflow, home: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        for part, process in airflow.processes.items():
            if process.poll() is not None:
                raise TaxiError(
                    f"Airflow's {part} ended with code {process.returncode}: see {home / part}.log."
                )
        with contextlib.suppress(httpx.TransportError, ValueError, KeyError):
            health = httpx.get(f"{airflow.url}/api/v2/monitor/health").json()
            if {health[part]["status"] for part in ("scheduler", "dag_processor")} == {"healthy"}:
                return
        time.sleep(0.5)
    raise TaxiError(f"Airflow was not healthy after {START_SECONDS} s: see the logs in {home}.")


def _stop(processes: dict[str, subprocess.Popen[bytes]]) -> None:
    """End all parts and what they have started; a part that does not end in time is killed."""
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
    """The command; its exit code."""
    parser = argparse.ArgumentParser(prog="make airflow-up", description="Airflow on this machine.")
    parser.add_argument("--port", type=int, default=8080)
    port = parser.parse_args().port
    settings()  # reads .env into os.environ
    home = PROJECT / ".airflow"
    say = sys.stderr.write
    say(f"Airflow starts (half a minute to two); logs are in {home}\n")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with running(home, port) as airflow:
            say(f"Airflow: {airflow.url}  user: {USER}  password: {airflow.password}  (Ctrl-C ends it)\n")
            while all(process.poll() is None for process in airflow.processes.values()):
                time.sleep(0.5)
            ended = [part for part, process in airflow.processes.items() if process.poll() is not None]
            say(f"Airflow's {ended[0]} has ended: see {home / ended[0]}.log\n")
            return 1
    except TaxiError as error:
        say(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        say("Airflow is stopped.\n")
        return 0


if __name__ == "__main__":
    sys.exit(main())
