"""Airflow for tests: a home of its own, and commands run in it.

These tests run in Airflow's environments (`make airflow-test`); in any other nothing here is collected.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from nyc_taxi.load.registry import open_destination
from nyc_taxi.local import gcs, postgres
from nyc_taxi.local.process import free_port
from nyc_taxi.local.samples import write
from nyc_taxi.model.months import Month, Service
from nyc_taxi.settings import PROJECT, load_settings
from tests.support import google_apis
from tests.support.waiting import until
from tests.support.warm_airflow import Warm

collect_ignore_glob = [] if importlib.util.find_spec("airflow") else ["test_*.py"]

DAGS = PROJECT / "airflow_project" / "dags"
AIRFLOW = (sys.executable, "-m", "airflow")
OURS = ("AIRFLOW", "TAXI_", "POSTGRES_", "GCS_", "S3_", "AWS_", "BIGQUERY_", "MYSQL_", "STORAGE_EMULATOR")


@pytest.fixture(scope="session")
def place() -> Iterator[Path]:
    """A folder that servers with an account of their own may enter."""
    folder = Path(tempfile.mkdtemp(prefix="nyc-taxi-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def airflow_environment(place: Path) -> dict[str, str]:
    """What a process of Airflow needs: DAGs, and a home whose database is ready."""
    home = place / "airflow"
    environment = {
        **plain_environment(),
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "120",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "PYTHONPATH": os.pathsep.join([str(DAGS), str(PROJECT)]),
        "PYTHONWARNINGS": "ignore",
        "NO_PROXY": "127.0.0.1",
        "TAXI_RETRY_SECONDS": "1",
    }
    subprocess.run([*AIRFLOW, "db", "migrate"], env=environment, capture_output=True, check=True)
    return environment


@pytest.fixture(scope="session")
def warm(airflow_environment: dict[str, str]) -> Iterator[Warm]:
    """A process that runs Airflow's commands without importing Airflow anew."""
    process = Warm(airflow_environment)
    yield process
    process.close()


RunDag = Callable[..., str]


@pytest.fixture
def run_dag(airflow_environment: dict[str, str], warm: Warm, place: Path, tmp_path: Path) -> RunDag:
    """Run a DAG by `airflow dags test`; its log.

    Asserts that it ends as wanted: `run_dag("taxi_ingest", '{"month": ...}', good=False, TAXI_...=...)`.
    """

    def run(dag: str, conf: str = "{}", good: bool = True, **more: str) -> str:
        environment = {**airflow_environment, "TAXI_WORKSPACE": str(place / "workspace"), **more}
        output = tmp_path / f"{dag}.log"
        code = warm.run(["dags", "test", dag, "--conf", conf], environment, output)
        log = output.read_text()
        assert (code == 0) is good, log[-8000:]
        return log

    return run


def put(folder: Path, month: str, rows: int, seed: int = 1) -> None:
    """Publish a generated month of green, or publish it anew."""
    path = folder / f"green_tripdata_{month}.csv.gz"
    write(Service.GREEN, Month.parse(month), path.with_name(f"new-{path.name}"), rows, seed)
    path.with_name(f"new-{path.name}").replace(path)


def plain_environment() -> dict[str, str]:
    """The environment without what somebody has set for the project or for Airflow."""
    return {name: value for name, value in os.environ.items() if not name.startswith(OURS)}


@pytest.fixture
def inside(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Let the package in this process look at a workspace: `inside(folder)`."""

    def look(workspace: Path) -> None:
        for name in os.environ.keys() - plain_environment().keys():
            monkeypatch.delenv(name)
        monkeypatch.setenv("TAXI_WORKSPACE", str(workspace))

    return look


def ledgers(airflow: Local, inside: Callable[[Path], None]) -> dict[str, dict[str, int]]:
    """Rows in of each month by destination."""
    inside(airflow.workspace)
    return {
        name: {
            str(row.month): row.rows_in for row in open_destination(name, load_settings()).ledger_entries()
        }
        for name in ("gcs", "postgres", "duckdb")
    }


def taxi(workspace: Path, *arguments: str, **settings: str) -> None:
    """Run the command line."""
    environment = {**plain_environment(), **settings, "TAXI_WORKSPACE": str(workspace)}
    command = [str(Path(sys.executable).with_name("taxi")), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def stop_servers(workspace: Path) -> None:
    """Stop the embedded servers of a workspace."""
    for server in (gcs, postgres):
        server.stop(workspace / server.__name__.rpartition(".")[2])


@dataclass
class Local:
    """A real Airflow on this machine, over its REST API."""

    url: str
    password: str
    home: Path
    workspace: Path
    inbox: Path
    """The folder that TAXI_SOURCE names."""
    client: httpx.Client

    def command(self, *arguments: str) -> None:
        """Run `airflow ...` as in another shell."""
        shell = ["sh", "-c", '. "$0" && exec airflow "$@"', str(self.home / "environment.sh")]
        subprocess.run([*shell, *arguments], env=plain_environment(), capture_output=True, check=True)

    def trigger(self, dag: str, run: str, **conf: Any) -> httpx.Response:
        """Ask for a run."""
        body = {"logical_date": None, "dag_run_id": run, "conf": conf}
        return self.client.post(f"/dags/{dag}/dagRuns", json=body)

    def runs(self, dag: str) -> dict[str, str]:
        """State by run id."""
        listed = self.client.get(f"/dags/{dag}/dagRuns", params={"limit": 100}).json()["dag_runs"]
        return {run["dag_run_id"]: run["state"] for run in listed}

    def task(self, dag: str, run: str, task: str, label: str) -> dict[str, Any]:
        """The instance of a mapped task with a label."""
        listed = self.client.get(f"/dags/{dag}/dagRuns/{run}/taskInstances", params={"limit": 100}).json()
        [instance] = [
            each
            for each in listed["task_instances"]
            if (each["task_id"], each["rendered_map_index"]) == (task, label)
        ]
        return dict(instance)

    def wait(self, dag: str, run: str) -> str:
        """The state in which a run ends."""
        until(lambda: self.runs(dag).get(run) in ("success", "failed"), seconds=600, every=0.3)
        return self.runs(dag)[run]


@contextlib.contextmanager
def local_airflow(home: Path, workers: int = 0) -> Iterator[Local]:
    """An Airflow as `make airflow-up` starts it, workspace and inbox beside its files; no DAG is paused."""
    from launchers.airflow import up

    workspace, inbox = home / "workspace", home / "inbox"
    inbox.mkdir(parents=True)
    shared = {
        "TAXI_LAKE": "gcs",
        "DUCKDB_DATABASE": str(workspace / "warehouse.duckdb"),
        **postgres.ensure(workspace / "postgres").environment(),
    }
    extra = {
        **(shared if workers else {}),  # or each worker would have databases of its own
        **gcs.ensure(workspace / "gcs").environment(),
        "AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT": google_apis.CONNECTION,
        "TAXI_WORKSPACE": str(workspace),
        "TAXI_SOURCE": str(inbox),
        "TAXI_DESTINATIONS": "gcs,postgres,duckdb",
        "TAXI_RETRY_SECONDS": "1",
        # how soon a worker that is gone is missed; five minutes if nothing is said
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
    }
    try:
        with up.running(home, free_port(), extra, workers) as running:
            headers = {"Authorization": f"Bearer {running.token()}"}
            with httpx.Client(base_url=f"{running.url}/api/v2", headers=headers, timeout=60) as client:
                until(lambda: client.get("/dags").json()["total_entries"] == 7, seconds=120, every=0.3)
                for dag in client.get("/dags").json()["dags"]:
                    client.patch(f"/dags/{dag['dag_id']}", json={"is_paused": False}).raise_for_status()
                yield Local(running.url, running.password, home, workspace, inbox, client)
    finally:
        stop_servers(workspace)


@pytest.fixture(scope="session")
def airflow(place: Path) -> Iterator[Local]:
    """One Airflow for all tests."""
    with local_airflow(place / "local") as running:
        yield running
