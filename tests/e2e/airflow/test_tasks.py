"""What tasks make of errors, dates and ledgers, called in a process without Airflow's database."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from nyc_taxi.settings import PROJECT
from tests.e2e.airflow.conftest import DAGS, plain_environment

PRELUDE = """
import dataclasses, datetime as dt, json, os
from pathlib import Path
from types import SimpleNamespace
from nyc_taxi.model.run import Run
from taxi_airflow import load_requests, month, step

load_requests.run = lambda: Run("run-1", "airflow")  # of the context, which only a task has
step.configure_environment = lambda: None  # Airflow's Variable and connections are in its database
"""


@pytest.fixture
def result(tmp_path):
    """Run code that ends with an expression in RESULT; its value."""

    def run(code):
        environment = {
            **plain_environment(),
            "AIRFLOW_HOME": str(tmp_path),
            "PYTHONPATH": os.pathsep.join([str(DAGS), str(PROJECT)]),
            "TAXI_WORKSPACE": str(tmp_path),
        }
        code = f"{PRELUDE}{code}\nprint(json.dumps(RESULT))"
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run


def test_only_an_error_that_may_pass_is_tried_again(result):
    """Airflow retries a task that fails, unless it raises AirflowFailException."""
    code = """
from nyc_taxi.errors import DestinationUnreachable, NotPublished, SourceUnreachable

def raised(error):
    @step.step()
    def fail():
        raise error
    try:
        fail.function()
    except Exception as error:
        return type(error).__name__

RESULT = [raised(kind("x")) for kind in (SourceUnreachable, DestinationUnreachable, NotPublished)]
"""
    assert result(code) == ["SourceUnreachable", "DestinationUnreachable", "AirflowFailException"]


def test_which_month_a_runs_date_means(result):
    code = """
def context(kind, logical, due):
    days = [day and dt.datetime.fromisoformat(day).replace(tzinfo=dt.UTC) for day in (logical, due)]
    return {"dag_run": SimpleNamespace(run_type=kind, logical_date=days[0], run_after=days[1])}

contexts = (
    context("backfill", "2020-03-02T07:00", "2024-01-01T00:00"),
    context("scheduled", "2020-03-02T07:00", "2024-01-01T00:00"),
    context("manual", None, "2024-01-31T23:00"),
)
RESULT = [[load_requests.backfilled(each), str(load_requests.day_of(each))] for each in contexts]
"""
    assert result(code) == [["2020-03", "2020-03-02"], [None, "2020-03-02"], [None, "2024-01-31"]]


def test_the_check_compares_the_ledger_with_the_parquet(result):
    code = """
from nyc_taxi.load import registry
from nyc_taxi.load.contract import new_entry
from nyc_taxi.model.run import Run
from tests.support.builders import month_files

files = month_files(Path(os.environ["TAXI_WORKSPACE"]))
recorded = new_entry(files, Run("run-1", "airflow"), dt.datetime.now(dt.UTC))

def checked(**change):
    entry = dataclasses.replace(recorded, **change)
    registry.open_destination = lambda *_: SimpleNamespace(ledger_entry=lambda *_: entry)
    try:
        return month.check.function({"destinations": ["duckdb"]}, files.to_dict())["version"]
    except Exception as error:
        return str(error).partition(" (version")[0]

changes = [{}, {"version": "v2"}, {"rows_in": 24}, {"rows_loaded": 19}, {"rows_quarantined": 4}]
RESULT = [checked(**change) for change in changes]
"""
    assert result(code) == [
        "v1",
        "duckdb has recorded ('v2', 23, 20, 3)",
        "duckdb has recorded ('v1', 24, 20, 3)",
        "duckdb has recorded ('v1', 23, 19, 3)",
        "duckdb has recorded ('v1', 23, 20, 4)",
    ]


def test_an_implausible_month_is_loaded_only_if_it_is_accepted(result):
    code = """
from nyc_taxi.local import samples
from nyc_taxi.model.months import Month, Service

path = Path(os.environ["TAXI_WORKSPACE"]) / "wrong.csv"
samples.write(Service.GREEN, Month(2021, 4), path, rows=60)
request = {"service": "green", "month": "2021-06", "source": str(path), "destinations": ["duckdb"]}
refused, accepted = ({**request, "accept": accept} for accept in (False, True))

def refusal(task, *references):
    try:
        task.function(refused, *references)
    except Exception as error:
        return "Nothing was loaded" in str(error)

source = month.download.function(accepted)
refusals = [refusal(month.refine, source)]
files = month.refine.function(accepted, source)
refusals.append(refusal(month.load, files))
RESULT = [refusals, month.load.function(accepted, files)[0]["rows_in"]]
"""
    assert result(code) == [[True, True], 60]
