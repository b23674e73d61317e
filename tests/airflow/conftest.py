"""Airflow for tests: a home of its own, and commands run in it.

These tests run in Airflow's environments (`make airflow-test`); in any other nothing here is collected.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nyc_taxi.settings import PROJECT
from tests.airflow import google_apis

collect_ignore_glob = [] if importlib.util.find_spec("airflow") else ["test_*.py"]

DAGS = PROJECT / "airflow_project" / "dags"
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
    environment = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    environment |= {
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
    (home / "config").mkdir(parents=True)
    (home / "config" / "airflow_local_settings.py").write_text(google_apis.SETTINGS)
    subprocess.run([*AIRFLOW, "db", "migrate"], env=environment, capture_output=True, check=True)
    return environment


AIRFLOW = (sys.executable, "-m", "airflow")

RunDag = Callable[..., str]


@pytest.fixture
def run_dag(airflow_environment: dict[str, str], place: Path) -> RunDag:
    """Run a DAG as `airflow dags test` does, each time in processes of its own; its log.

    Asserts that it ends as wanted: `run_dag("taxi_ingest", '{"month": ...}', good=False, TAXI_...=...)`.
    """

    def run(dag: str, conf: str = "{}", good: bool = True, **more: str) -> str:
        environment = {**airflow_environment, "TAXI_WORKSPACE": str(place / "workspace"), **more}
        done = subprocess.run(
            [*AIRFLOW, "dags", "test", dag, "--conf", conf], env=environment, capture_output=True, text=True
        )
        log = done.stdout + done.stderr
        assert (done.returncode == 0) is good, log[-8000:]
        return log

    return run
