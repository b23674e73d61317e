"""Files that may hold secrets, with the usual umask: nobody but their owner reads them."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from launchers.airflow.environment import keys_in, settings_of
from launchers.env_file import complete
from launchers.mage.environment import log_file
from launchers.private_files import private_file, private_folder
from nyc_taxi.settings import PROJECT
from tests.support.modes import readable_by_others


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_folders_of_mage_are_private_also_if_they_exist_already(tmp_path):
    data, project = tmp_path / "data", tmp_path / "mage_project"
    environment = {"MAGE_DATA_DIR": str(data)}
    log = log_file(environment, "ui", project)
    assert [mode(data), mode(log.parent), mode(data / "mage_project")] == [0o700] * 3
    assert [mode(log), mode(data / "mage_project" / "mage-ai.db")] == [0o600] * 2
    for folder in (data, data / "mage_project"):
        folder.chmod(0o755)
    (data / "mage_project" / "mage-ai.db").chmod(0o644)
    log_file(environment, "ui", project)
    assert readable_by_others(data) == []
    assert mode(data / "mage_project" / "mage-ai.db") == 0o600


@pytest.mark.mage
def test_a_run_leaves_nothing_that_others_may_read(environment, mage_postgres, tmp_path):
    """`make run` with an embedded server: Mage's files, and the server's."""
    data = tmp_path / "mage_data"
    done = subprocess.run(
        [sys.executable, "-m", "launchers.mage.run", "--month", "2020-04", "--source", "sample:100:1"],
        cwd=PROJECT,
        env={**os.environ, **environment, "MAGE_DATA_DIR": str(data), "TAXI_DESTINATIONS": "postgres"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert sum(1 for path in data.rglob("*") if path.is_file()) > 5
    assert readable_by_others(data) == []
    assert set(readable_by_others(mage_postgres.folder)) <= {"lock", "alive"}


def test_settings_and_keys_are_private(tmp_path):
    env_file = tmp_path / ".env"
    env_file.write_text("SECRET=1\n")  # as a copy of .env.example
    complete(env_file, {"SECRET": "2"})
    assert mode(env_file) == 0o600
    complete(env_file, {"OTHER": "2"})
    assert mode(env_file) == 0o600
    home = private_folder(tmp_path / "airflow")
    (home / "passwords.json").touch()  # as an earlier version made it
    settings_of(home, 8080, "postgresql://", keys_in(home / "keys.json"))
    assert {mode(path) for path in home.iterdir()} == {0o600}
    assert mode(private_file(home / "scheduler.log")) == 0o600
