"""The scratchpad explore_trips, and what it asks destinations with."""

from __future__ import annotations

import runpy

import pytest

from mage_project.utils.destination_queries import query_destination
from nyc_taxi.errors import SettingsError
from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.request import LoadRequest
from nyc_taxi.model.run import Run, RunContext
from nyc_taxi.pipelines.trips.run import run_month
from nyc_taxi.settings import PROJECT, load_settings

MONTH = Month(2020, 4)


def test_scratchpad_shows_the_same_month_from_everywhere(here, capsys):
    everywhere = ("postgres", "gcs", "duckdb")
    request = LoadRequest(Service.GREEN, MONTH, "sample:300:1", everywhere)
    outcome = run_month(request, RunContext(load_settings(), Run("test", "cli")))
    runpy.run_path(str(PROJECT / "mage_project" / "scratchpads" / "explore_trips.py"))
    shown = capsys.readouterr().out
    assert "trips of more than 20 miles" in shown
    totals = "SELECT count(*) AS n, round(sum(trip_distance)) AS miles FROM {trips}"
    answers = {tuple(query_destination(name, totals, Service.GREEN, MONTH).iloc[0]) for name in everywhere}
    (answer,) = answers
    assert answer[0] == outcome.files.trips
    assert shown.count(str(outcome.files.trips)) >= 3
    with pytest.raises(SettingsError, match="destination 'oracle' is not known"):
        query_destination("oracle", "SELECT 1", Service.GREEN, MONTH)
    with pytest.raises(SettingsError, match="load green 2013-08 first"):
        query_destination("gcs", "SELECT 1", Service.GREEN, Month(2013, 8))
