import pandas as pd

from mage_project.utils.run_variables import runs_of
from mage_project.utils.runs import start_once
from mage_project.utils.steps import step
from mage_project.utils.variables import log_context

if "data_exporter" not in globals():
    from mage_ai.data_preparation.decorators import data_exporter
if "test" not in globals():
    from mage_ai.data_preparation.decorators import test


@data_exporter
def start_taxi_trips(data, *args, **variables):
    """Start a run of taxi_trips for each month, unless one is already waiting or running.

    This block does not wait for the runs: the scheduler executes them one at a time, oldest first.

    Returns the months with the ids of their runs.
    """
    with step("start_taxi_trips", log_context(variables)) as current:
        runs = runs_of(data)
        started = [start_once(run) for run in runs]
        for run, (run_id, is_new) in zip(runs, started, strict=True):
            status = "started" if is_new else "already waiting or running"
            current.log(f"{run['service']} {run['month']}: run {run_id} of taxi_trips {status}")
        ids = [run_id for run_id, _ in started]
        table = data.assign(run=pd.array(ids, "Int64"), is_new=[is_new for _, is_new in started])
        return current.output(table, {"run_ids": ids})


@test
def test_every_month_has_a_run(rows, *args, **variables):
    assert rows["run"].notna().all(), "a month has no run."
    assert rows["run"].is_unique, "two months share a run."
