import datetime as dt

import pytest

from mage_project.utils.variables import RUN_ID, Asked, run_of
from nyc_taxi.errors import SettingsError
from nyc_taxi.model.months import Month, Service
from nyc_taxi.settings import settings


def test_variables_are_taken_as_given():
    asked = Asked.from_variables({"service": "Yellow", "month": "2021-01", "source": "tlc"})
    assert asked == Asked(Service.YELLOW, Month(2021, 1), "tlc")


@pytest.mark.parametrize(
    "moment",
    [
        dt.datetime(2024, 3, 2, 7, tzinfo=dt.UTC),  # Mage on Postgres
        dt.datetime(2024, 3, 2, 7),  # Mage on sqlite
        "2024-03-02T07:00:00",  # by hand
        "2024-03-02 07:00:00+00:00",
    ],
)
def test_without_month_it_is_the_one_published_by_the_day_of_the_run(moment):
    assert Asked.from_variables({"month": "", "execution_date": moment}).month == Month(2024, 1)


def test_without_anything_it_is_the_newest_green_month_of_the_default_source(monkeypatch):
    monkeypatch.setenv("TAXI_SOURCE", "csv")
    settings.cache_clear()
    today = Month.of(dt.datetime.now(dt.UTC).date())
    assert Asked.from_variables({}) in {  # the test may run over midnight
        Asked(Service.GREEN, today - 2, "csv"),
        Asked(Service.GREEN, today - 1, "csv"),
    }
    settings.cache_clear()


def test_a_variable_that_makes_no_sense_is_named():
    with pytest.raises(SettingsError, match="month '2020-4' is not a month"):
        Asked.from_variables({"month": "2020-4"})
    with pytest.raises(SettingsError, match="service 'red' is not known"):
        Asked.from_variables({"service": "red"})
    with pytest.raises(SettingsError, match="execution_date 'tomorrow' is not a date"):
        Asked.from_variables({"execution_date": "tomorrow"})


def test_the_ledger_names_mages_run(monkeypatch):
    monkeypatch.delenv(RUN_ID, raising=False)
    assert run_of({"pipeline_run_id": 7}).run_id == "7"
    by_hand = run_of({})
    assert (by_hand.run_id[:9], by_hand.orchestrator) == ("manual-20", "mage")
    assert len({run_of({}).run_id for _ in range(20)}) == 20, "runs of the same second share an id"


def test_all_blocks_of_one_process_that_was_given_an_id_have_it(monkeypatch):
    monkeypatch.setenv(RUN_ID, "manual-20240302T070000-a1b2c3")
    assert {run_of({}).run_id for _ in range(2)} == {"manual-20240302T070000-a1b2c3"}
    assert run_of({"pipeline_run_id": 7}).run_id == "7"
