"""taxi_catch_up and taxi_backfill: which runs of taxi_trips they start, in Mage's own database."""

from __future__ import annotations

import datetime as dt

import pytest

from nyc_taxi.errors import SettingsError
from nyc_taxi.local import samples
from nyc_taxi.model.months import Month, Service
from nyc_taxi.settings import PROJECT

pytestmark = [pytest.mark.mage, pytest.mark.filterwarnings("ignore")]  # Mage warns of much

MAGE_PROJECT = PROJECT / "mage_project"
NOW = {"execution_date": dt.datetime(2021, 8, 10, 8), "services": "green", "destinations": "postgres"}


@pytest.fixture
def mage(mage_database):
    """Mage's database in this process, without runs."""
    from mage_ai.orchestration.db import db_connection
    from mage_ai.orchestration.db.models.schedules import PipelineRun

    PipelineRun.query.delete()
    db_connection.session.commit()
    return PipelineRun


def publish(server, folder, month, rows=100):
    path = folder / f"green_tripdata_{month}.parquet"
    samples.write(Service.GREEN, Month.parse(month), path, rows=rows)
    server.put(f"/{path.name}", path.read_bytes(), etag=f'"{month}-{rows}"')


def execute(name, **variables):
    """The pipeline as Mage runs it, with its tests; the table of its last block but the pruning."""
    from mage_ai.data_preparation.models.pipeline import Pipeline

    pipeline = Pipeline.get(name, repo_path=str(MAGE_PROJECT))
    pipeline.execute_sync(global_vars=variables, run_tests=True, update_status=False)
    return pipeline.get_block("start_taxi_trips").get_raw_outputs("start_taxi_trips")[0]


def work_off(runs):
    """What the scheduler does: every run that waits, one after another; their months."""
    from mage_ai.data_preparation.models.pipeline import Pipeline
    from mage_ai.orchestration.db import db_connection

    waiting = runs.query.filter(runs.status == runs.PipelineRunStatus.INITIAL).order_by(runs.id).all()
    done = []
    for run in waiting:
        pipeline = Pipeline.get("taxi_trips", repo_path=str(MAGE_PROJECT))
        pipeline.execute_sync(global_vars=dict(run.variables), run_tests=True, update_status=False)
        run.update(status=runs.PipelineRunStatus.COMPLETED)
        done.append(run.variables["month"])
    db_connection.session.commit()
    return done


def new_runs(table):
    """Months for which a new run was started."""
    return list(table.loc[table["is_new"].astype(bool), "month"]) if len(table) else []


def test_runs_are_started_for_new_and_changed_months_only(mage, server, tmp_path):
    server.missing = 403
    variables = {**NOW, "since": "2021-01", "source": server.url}
    publish(server, tmp_path, "2021-03")
    publish(server, tmp_path, "2021-05")
    files = {path: path.read_bytes() for path in MAGE_PROJECT.rglob("*.yaml")}
    assert new_runs(execute("taxi_catch_up", **variables)) == ["2021-03", "2021-05"]
    again = execute("taxi_catch_up", **variables)
    assert new_runs(again) == [], "their runs are waiting: the same month never twice"
    assert list(again["month"]) == ["2021-03", "2021-05"]

    assert work_off(mage) == ["2021-03", "2021-05"]
    assert new_runs(execute("taxi_catch_up", **variables)) == []

    server.missing = 404
    publish(server, tmp_path, "2021-04")
    publish(server, tmp_path, "2021-05", rows=120)
    assert new_runs(execute("taxi_catch_up", **variables)) == ["2021-04", "2021-05"]
    assert work_off(mage) == ["2021-04", "2021-05"]
    assert len(execute("taxi_catch_up", **variables)) == 0
    assert files == {path: path.read_bytes() for path in MAGE_PROJECT.rglob("*.yaml")}


def test_started_runs_have_the_timeout_of_their_trigger(mage):
    """Without it a run that is killed for its memory is started again for ever."""
    from mage_ai.orchestration.pipeline_scheduler import sync_schedules

    from mage_project.utils.runs import start_once

    sync_schedules(["taxi_trips"])
    number, _ = start_once({"service": "green", "month": "2019-01", "source": "", "destinations": ""})
    schedule = mage.query.get(number).pipeline_schedule
    assert schedule.name == "started by pipelines"
    assert schedule.get_settings().timeout == 7200


def test_a_month_is_started_once_for_each_service(mage):
    from mage_project.utils.runs import start_once

    green = {"service": "green", "month": "2019-01", "source": "", "destinations": ""}
    number, is_new = start_once(green)
    assert is_new
    assert start_once(green) == (number, False)
    other, is_new = start_once({**green, "service": "yellow"})
    assert is_new
    assert other != number


def test_backfill_asks_for_every_month_of_the_range(mage):
    variables = {"service": "green", "first": "2020-03", "last": "2020-08", "source": "sample:50"}
    table = execute("taxi_backfill", **variables)
    assert new_runs(table) == [f"2020-0{number}" for number in range(3, 9)]
    run = mage.query.get(int(table["run"].iloc[0]))
    expected = {"service": "green", "month": "2020-03", "source": "sample:50", "destinations": ""}
    assert {name: run.variables[name] for name in expected} == expected
    with pytest.raises(SettingsError, match="2020-02 is before 2020-03"):
        execute("taxi_backfill", **{**variables, "last": "2020-02"})
    with pytest.raises(SettingsError, match="month '' is not a month"):
        execute("taxi_backfill", service="green")


def test_mages_own_backfill_loads_the_month_of_its_execution_date(mage):
    from mage_ai.orchestration.backfills.service import start_backfill
    from mage_ai.orchestration.db.models.schedules import Backfill

    from mage_project.utils.variables import request_of

    backfill = Backfill.create(
        name="spring",
        pipeline_uuid="taxi_trips",
        start_datetime=dt.datetime(2020, 3, 1),
        end_datetime=dt.datetime(2020, 5, 1),
        interval_type="month",
        interval_units=1,
        variables={"service": "green", "source": "sample:50"},
    )
    runs = [mage.query.get(run.id) for run in start_backfill(backfill)]
    requests = [request_of(run.get_variables(extra_variables={"pipeline_run_id": run.id})) for run in runs]
    assert [str(request.month) for request in requests] == ["2020-03", "2020-04", "2020-05"]
    assert [run.execution_date.strftime("%Y-%m") for run in runs] == ["2020-03", "2020-04", "2020-05"]
