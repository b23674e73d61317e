"""The command line that looks at a month."""

from __future__ import annotations

import os
import shlex
import subprocess

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
    program, url, *rest = shlex.split(query(Service.GREEN, Month(2020, 4), load_settings()))
    assert rest == ["-c", "SELECT * FROM taxi.trips_green WHERE month = '2020-04-01' LIMIT 10"]
    answer = subprocess.run(
        [program, url, "-Atc", "SELECT 40 + 2"], capture_output=True, text=True, check=False
    )
    assert answer.stdout == "42\n", answer.stderr


def test_with_psql_and_for_other_servers_it_is_called_psql(embedded, monkeypatch, environment):
    with monkeypatch.context() as installed:
        installed.setattr("launchers.mage.query.shutil.which", lambda _: "/usr/bin/psql")
        assert query(Service.GREEN, Month(2020, 4), load_settings()).startswith(
            'psql "postgresql://postgres:'
        )
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    line = query(Service.GREEN, Month(2020, 4), load_settings())
    assert line.startswith('psql "postgresql://postgres@')
    assert environment["POSTGRES_PASSWORD"] not in line
