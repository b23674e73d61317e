"""The command line that looks at a month."""

from __future__ import annotations

import os
import shlex
import stat
import subprocess
from pathlib import Path

import pytest

from launchers.mage.query import query
from nyc_taxi.model.months import Month, Service
from nyc_taxi.settings import load_settings


@pytest.fixture
def embedded(here, mage_postgres, monkeypatch):
    """The embedded server as one that nobody named, on a machine whose PATH has no psql."""
    for name in [name for name in os.environ if name.startswith("POSTGRES_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("TAXI_WORKSPACE", str(mage_postgres.folder.parent))
    monkeypatch.setattr("launchers.mage.query.shutil.which", lambda _: None)


def test_without_psql_that_of_the_embedded_server_is_named(embedded):
    line = query(Service.GREEN, Month(2020, 4), load_settings())
    variable, program, url, *rest = shlex.split(line)
    assert rest == ["-c", "SELECT * FROM taxi.trips_green WHERE month = '2020-04-01' LIMIT 10"]
    name, _, file = variable.partition("=")
    answer = subprocess.run(
        [program, url, "-Atc", "SELECT current_user, 40 + 2"],
        env={name: file},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.stdout == "taxi_reader|42\n", answer.stderr
    password = Path(file).read_text().partition("password=")[2].strip()
    assert password
    assert password not in line
    assert stat.S_IMODE(Path(file).stat().st_mode) == 0o600


def test_with_psql_and_for_other_servers_it_is_called_psql(embedded, monkeypatch, environment):
    with monkeypatch.context() as installed:
        installed.setattr("launchers.mage.query.shutil.which", lambda _: "/usr/bin/psql")
        assert " psql service=taxi -c " in query(Service.GREEN, Month(2020, 4), load_settings())
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    line = query(Service.GREEN, Month(2020, 4), load_settings())
    assert line.startswith('psql "postgresql://taxi_loader@')
    assert environment["POSTGRES_PASSWORD"] not in line
