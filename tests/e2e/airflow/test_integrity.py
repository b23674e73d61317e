"""The DAG files as Airflow reads them: all of them, quickly, and as our policy wants them."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from nyc_taxi.settings import PROJECT

DAGS = PROJECT / "airflow_project" / "dags"
FILES = sorted(path.stem for path in DAGS.glob("*.py"))
WITH_PROVIDERS = {"bikeshare", "lake_external_tables", "s3_to_gcs_transfer"}
"""Files whose point is an operator of Google's provider."""
SCHEDULES = {"taxi_monthly": "0 7 2 * *", "taxi_late_data": "0 8 * * *"}


@pytest.fixture(scope="module")
def bag(airflow_environment):
    before = dict(os.environ)
    os.environ.update(airflow_environment)
    sys.path.insert(0, str(DAGS))
    try:
        if version("apache-airflow").startswith("2."):
            from airflow.models.dagbag import DagBag

            dags = DagBag(str(DAGS), include_examples=False)
        else:
            from airflow.dag_processing.dagbag import DagBag

            dags = DagBag(str(DAGS))
        yield dags
    finally:
        sys.path.remove(str(DAGS))
        os.environ.clear()
        os.environ.update(before)


def test_every_file_is_one_dag_of_its_name(bag):
    assert bag.import_errors == {}
    assert "taxi_ingest" in FILES
    assert sorted(bag.dags) == FILES


@pytest.mark.parametrize("name", FILES)
def test_dag_keeps_the_policy(bag, name):
    dag = bag.dags[name]
    assert {"taxi", "v2"} <= set(dag.tags)
    assert dag.description
    assert dag.doc_md.strip().startswith("### ")
    assert dag.catchup is False
    assert dag.max_active_runs == 16  # none waits for a run that waits for its retry
    assert dag.dagrun_timeout
    assert dag.tasks


@pytest.mark.parametrize("name", FILES)
def test_tasks_keep_the_policy(bag, name):
    for task in bag.dags[name].tasks:
        where = f"{name}.{task.task_id}"
        options = getattr(task, "partial_kwargs", {})

        def of(attribute, task=task, options=options):
            return options[attribute] if attribute in options else getattr(task, attribute)

        assert of("owner") == "taxi", where
        sensor = task.task_id == "wait_for_trips"
        assert sensor or 1 <= of("retries") <= 4, where
        assert of("retry_exponential_backoff"), where
        assert of("execution_timeout") <= dt.timedelta(hours=7), where
        for callback in ("on_failure_callback", "on_success_callback", "on_retry_callback"):
            assert of(callback), f"{where} has no {callback}"


@pytest.mark.parametrize(("name", "cron"), SCHEDULES.items())
def test_schedule_says_its_time_zone(bag, name, cron):
    timetable = bag.dags[name].timetable
    assert type(timetable).__name__ == "CronTriggerTimetable"
    assert timetable.serialize()["expression"] == cron
    assert timetable.serialize()["timezone"] == "UTC"


COST = """
import json, os, runpy, sys, time
from airflow.providers.common.compat.sdk import DAG, BaseOperator, Param, TriggerRule, dag, task, task_group
import airflow.timetables.trigger
before = set(sys.modules)
for path in sys.argv[1:]:
    if not (child := os.fork()):  # so that every file is read as if it were the first
        began = time.process_time()
        runpy.run_path(path)
        seconds = time.process_time() - began
        new = sorted({name.partition(".")[0] for name in set(sys.modules) - before})
        print("COST", json.dumps([seconds, new]), flush=True)
        os._exit(0)
    os.waitpid(child, 0)
"""


def test_files_are_read_quickly_and_import_nothing_heavy(airflow_environment):
    """Airflow reads the files all the time, and once more in every task's process."""
    command = [sys.executable, "-c", COST, *(str(DAGS / f"{name}.py") for name in FILES)]
    done = subprocess.run(command, env=airflow_environment, capture_output=True, text=True, check=True)
    costs = [json.loads(line[5:]) for line in done.stdout.splitlines() if line.startswith("COST ")]
    assert len(costs) == len(FILES), done.stderr
    for name, (seconds, modules) in zip(FILES, costs, strict=True):
        heavy = {"pandas", "pyarrow", "duckdb", "matplotlib", "psycopg2", "pymysql"}
        heavy |= set() if name in WITH_PROVIDERS else {"google", "boto3"}
        limit = 2.5 if name in WITH_PROVIDERS else 1.0
        if name == "lake_external_tables":  # BigQuery's operators import pandas
            heavy, limit = heavy - {"pandas", "pyarrow"}, 5.0
        assert not heavy & set(modules), name
        assert seconds < limit, f"{name}: {seconds:.1f} s of a processor"


def test_templates_hold_nothing_that_airflow_3_no_longer_renders():
    """A run without a logical date has no `ds`; `execution_date` is gone altogether."""
    for path in DAGS.rglob("*.py"):
        gone = re.search(r"\{\{\s*(ds|ts|execution_date|next_ds|prev_ds)\b|execution_date", path.read_text())
        assert not gone, f"{path}: {gone[0]}"


def test_airflow_needs_nothing_of_the_mage_project():
    for path in (PROJECT / "airflow_project").rglob("*.py"):
        assert not re.search(r"^\s*(from|import) mage", path.read_text(), re.MULTILINE), path


def test_what_the_dags_share_is_not_read_as_a_dag_file():
    ignored = [line for line in Path(DAGS / ".airflowignore").read_text().splitlines() if line[:1] != "#"]
    packages = {path.name for path in DAGS.iterdir() if (path / "__init__.py").exists()}
    assert packages | {"nyc_taxi", "mage_project"} == set(ignored)
