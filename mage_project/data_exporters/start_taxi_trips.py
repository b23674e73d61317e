import pandas as pd

from mage_project.utils.runs import start_once
from mage_project.utils.steps import step
from mage_project.utils.variables import context_of

if "data_exporter" not in globals():
    from mage_ai.data_preparation.decorators import data_exporter
if "test" not in globals():
    from mage_ai.data_preparation.decorators import test


@data_exporter
def start_taxi_trips(data, *args, **variables):
    """A run of taxi_trips for each month, but for months that a waiting or running one has already.

    The runs are only asked for here: the scheduler takes them one after another, the oldest first.

    Outputs: the months with the number of their run; the numbers alone.
    """
    rows, reference = data
    with step("start_taxi_trips", context_of(variables)) as current:
        started = [start_once(wanted) for wanted in reference["wanted"]]
        for wanted, (number, is_new) in zip(reference["wanted"], started, strict=True):
            what = "is asked for" if is_new else "has the month already"
            current.say(f"{wanted['service']} {wanted['month']}: run {number} of taxi_trips {what}")
        numbers = [number for number, _ in started]
        table = rows.assign(run=pd.array(numbers, "Int64"), is_new=[is_new for _, is_new in started])
        return current.outputs(table, {"runs": numbers})


@test
def test_every_month_has_a_run(rows, reference, **variables):
    assert len(reference["runs"]) == len(rows), "a month has no run."
    assert len(set(reference["runs"])) == len(rows), "two months share a run."
