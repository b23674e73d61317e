"""Load request and run of a block's variables."""

import datetime as dt

import pytest

from mage_project.utils.variables import RUN_ID, log_context, request_of, run_context
from nyc_taxi.errors import SettingsError, SourceUnreachable
from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.request import LoadRequest


@pytest.fixture
def published(tmp_path):
    """A source that publishes green up to 2024-01."""
    (tmp_path / "green_tripdata_2023-12.csv").touch()
    (tmp_path / "green_tripdata_2024-01.csv").touch()
    return str(tmp_path)


def test_variables_make_a_load_request():
    variables = {"service": "Yellow", "month": "2021-01", "source": "tlc", "destinations": "duckdb, gcs"}
    assert request_of(variables) == LoadRequest(Service.YELLOW, Month(2021, 1), "tlc", ("gcs", "duckdb"))


@pytest.mark.parametrize(
    "moment",
    [
        dt.datetime(2024, 3, 2, 7, tzinfo=dt.UTC),  # Mage on Postgres
        dt.datetime(2024, 3, 2, 7),  # Mage on sqlite
        "2024-03-02T07:00:00",  # by hand
        "2024-03-02 07:00:00+00:00",
    ],
)
def test_without_month_the_newest_published_on_the_execution_date_is_loaded(published, moment):
    variables = {"month": "", "source": published, "execution_date": moment}
    assert request_of(variables).month == Month(2024, 1)


def test_service_and_source_have_defaults(published, monkeypatch):
    monkeypatch.setenv("TAXI_SOURCE", published)
    request = request_of({"execution_date": dt.datetime(2024, 3, 2)})
    assert (request.service, request.month, request.source) == (Service.GREEN, Month(2024, 1), published)


def test_an_invalid_variable_is_named():
    with pytest.raises(SettingsError, match="month '2020-4' is not a month"):
        request_of({"month": "2020-4"})
    with pytest.raises(SettingsError, match="service 'red' is not known"):
        request_of({"service": "red"})
    with pytest.raises(SettingsError, match="execution_date 'tomorrow' is not a date"):
        request_of({"execution_date": "tomorrow"})


@pytest.fixture
def offline(mage_database, monkeypatch):
    """TLC and the mirror are on a port of this machine on which nothing listens."""
    monkeypatch.setenv("TAXI_TLC_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("TAXI_CSV_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("TAXI_RETRIES", "1")


def test_by_hand_without_a_network_a_generated_month_stands_in(offline, capsys):
    variables = {"service": "green", "execution_date": dt.datetime(2020, 4, 2)}
    request = request_of(variables)
    assert (request.month, request.source) == (Month(2020, 2), "sample")
    expected = "No network access: loading a generated sample of green 2020-02, not TLC's data.\n"
    assert capsys.readouterr().out == expected
    with pytest.raises(SourceUnreachable, match="name another source: sample"):
        request_of({**variables, "pipeline_run_id": 7})
    assert request_of({**variables, "month": "2020-02", "pipeline_run_id": 7}).source == "auto"


def test_the_first_line_of_the_log_names_a_month_that_is_set(mage_database, published, capsys):
    request_of({"month": "2023-12", "source": published, "pipeline_run_id": 7})
    message = (
        "Loading the month 2023-12, as the variable says; leave it empty for the newest published month.\n"
    )
    assert capsys.readouterr().out == message
    request_of({"month": "", "source": published, "pipeline_run_id": 7})
    assert capsys.readouterr().out == ""


def test_the_run_id_is_mages_own(monkeypatch):
    monkeypatch.delenv(RUN_ID, raising=False)
    assert run_context({"pipeline_run_id": 7}).run.run_id == "7"
    by_hand = run_context({}).run
    assert (by_hand.run_id[:7], by_hand.orchestrator) == ("mage-20", "mage")
    ids = {run_context({}).run.run_id for _ in range(20)}
    assert len(ids) == 20, "runs of the same second share an id"


def test_all_blocks_of_a_process_share_the_run_id_that_make_run_sets(monkeypatch):
    monkeypatch.setenv(RUN_ID, "mage-20240302T070000-a1b2c3")
    assert {run_context({}).run.run_id for _ in range(2)} == {"mage-20240302T070000-a1b2c3"}
    assert run_context({"pipeline_run_id": 7}).run.run_id == "7"


def test_log_lines_end_with_service_month_and_run():
    reference = {"service": "green", "month": "2020-04"}
    context = {"service": "green", "month": "2020-04", "run": "7"}
    assert log_context({"pipeline_run_id": 7}, reference) == context
    assert log_context({"service": "green", "month": ""}) == {"service": "green", "run": "by hand"}
