import pandas as pd

from mage_project.utils.callback_messages import log_line
from mage_project.utils.references import with_reference
from nyc_taxi.errors import NotPublished


def test_a_line_names_month_run_and_reason():
    variables = {"pipeline_uuid": "taxi_trips", "service": "green", "month": "", "pipeline_run_id": 7}
    error = NotPublished("green 2020-04 is not there.")
    assert log_line("failed", (), {**variables, "__error": error}) == (
        "taxi_trips: a block failed: green 2020-04 is not there. [service=green run=7]"
    )
    rows = with_reference(pd.DataFrame({"a": [1]}), {"service": "green", "month": "2020-04"})
    outputs = ([rows],)  # as Mage hands a block's output on
    assert log_line("finished", outputs, variables) == (
        "taxi_trips: a block finished [service=green month=2020-04 run=7]"
    )
