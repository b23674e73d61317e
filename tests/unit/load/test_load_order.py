"""Which destinations are loaded in which order, and what a failing one means for the others."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from nyc_taxi.errors import DestinationError, DestinationUnreachable
from nyc_taxi.load.registry import independent_groups
from nyc_taxi.pipelines.trips.load import load_side_by_side


def test_destinations_that_depend_on_each_other_share_a_group():
    groups = [["postgres"], ["s3"], ["gcs", "bigquery"], ["duckdb"]]
    names = ["postgres", "gcs", "s3", "bigquery", "duckdb"]
    assert sorted(independent_groups(names)) == sorted(groups)
    assert independent_groups(["bigquery", "duckdb"]) == [["bigquery"], ["duckdb"]]
    assert independent_groups([]) == []


def test_a_destination_that_fails_stops_only_those_that_depend_on_it():
    loaded = []

    def load_one(name):
        if name == "gcs":
            raise DestinationError("full")
        loaded.append(name)
        return SimpleNamespace(destination=name)

    with pytest.raises(DestinationError, match="full"):
        load_side_by_side(["postgres", "gcs", "bigquery", "duckdb"], load_one)
    assert sorted(loaded) == ["duckdb", "postgres"]


def test_an_error_that_may_pass_is_raised_so_that_the_load_is_tried_again(caplog):
    def load_one(name):
        raise DestinationError("refused") if name == "postgres" else DestinationUnreachable("busy")

    with pytest.raises(DestinationUnreachable, match="busy"):
        load_side_by_side(["postgres", "duckdb"], load_one)
    assert "refused" in caplog.text
