"""Load requests from texts, as the command line, Mage and Airflow give them."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from nyc_taxi.errors import SettingsError
from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.request import LoadRequest
from nyc_taxi.pipelines.requests import accepts, destinations, make_request, services
from nyc_taxi.settings import load_settings


@pytest.fixture(autouse=True)
def _settings(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAXI_DESTINATIONS", "duckdb")
    monkeypatch.setenv("TAXI_SOURCE", "sample:100:1")


def test_every_value_is_taken() -> None:
    values = {
        "service": "fhv",
        "month": "2021-03",
        "source": "csv",
        "destinations": "gcs, postgres",
        "accept": "true",
    }
    request = LoadRequest(Service.FHV, Month(2021, 3), "csv", ("postgres", "gcs"), True)
    assert make_request(values, load_settings()) == request


@pytest.mark.parametrize("empty", [None, ""])
def test_an_empty_value_has_a_default(empty: str | None) -> None:
    values = dict.fromkeys(("service", "month", "source", "destinations", "accept", "services"), empty)
    request = make_request(values, load_settings(), dt.date(2020, 7, 2))
    assert request == LoadRequest(Service.GREEN, Month(2020, 5), "sample:100:1", ("duckdb",), False)
    assert services(values) == [Service.YELLOW, Service.GREEN]
    assert destinations(values, load_settings()) == ["duckdb"]


def test_services_are_those_that_are_named() -> None:
    assert services({"services": "fhv, green"}) == [Service.FHV, Service.GREEN]
    with pytest.raises(SettingsError, match="uber"):
        services({"services": "green,uber"})


@pytest.mark.parametrize(("value", "accepted"), [(True, True), ("Yes", True), ("0", False), (False, False)])
def test_accept_is_a_boolean_or_its_text(value: object, accepted: bool) -> None:
    assert accepts({"accept": value}) is accepted
    with pytest.raises(SettingsError, match="accept 'perhaps' is neither true nor false"):
        accepts({"accept": "perhaps"})


@pytest.mark.parametrize(("value", "forced"), [(True, True), ("true", True), ("false", False), ("", False)])
def test_force_is_a_boolean_or_its_text(value: object, forced: bool) -> None:
    values = {"month": "2021-03", "force": value}
    assert make_request(values, load_settings()).force is forced
    with pytest.raises(SettingsError, match="force 'perhaps' is neither true nor false"):
        make_request({**values, "force": "perhaps"}, load_settings())
