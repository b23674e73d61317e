from mage_project.utils.callback_messages import log_line
from nyc_taxi.errors import NotPublished


def test_a_line_names_month_run_and_reason():
    variables = {"pipeline_uuid": "taxi_trips", "service": "green", "month": "", "pipeline_run_id": 7}
    error = NotPublished("green 2020-04 is not there.")
    assert log_line("failed", (), {**variables, "__error": error}) == (
        "taxi_trips: a block failed: green 2020-04 is not there. [service=green run=7]"
    )
    outputs = ([None, {"service": "green", "month": "2020-04"}],)  # as Mage hands a block's outputs on
    assert log_line("finished", outputs, variables) == (
        "taxi_trips: a block finished [service=green month=2020-04 run=7]"
    )
