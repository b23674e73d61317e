"""What `taxi doctor` says of the stations' database."""

from __future__ import annotations

from pathlib import Path

import pytest

from nyc_taxi.errors import SourceError
from nyc_taxi.pipelines.bikeshare import sample
from nyc_taxi.reporting.doctor import _bikeshare
from nyc_taxi.settings import load_settings
from tests.support.bikeshare import Stack


def test_nothing_configured_is_no_fault(nothing: Path) -> None:
    assert (
        _bikeshare(load_settings())
        == "MYSQL_HOST is not set, and no demo data is seeded (taxi bikeshare seed)"
    )
    assert not list(nothing.glob("bikeshare/*.sqlite"))


def test_the_stations_are_counted(either: Stack) -> None:
    either.stations(sample.STATIONS[:3])
    assert _bikeshare(load_settings()).endswith(": 3 stations")


def test_a_missing_table_is_named(either: Stack) -> None:
    either.stations()
    either.sql("DROP TABLE stations")
    with pytest.raises(SourceError, match=r"correct tables.yaml, or fill the database"):
        _bikeshare(load_settings())


def test_a_wrong_password_is_named(on_mariadb: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MYSQL_PASSWORD", "wrong")
    with pytest.raises(SourceError, match="check MYSQL_USER and MYSQL_PASSWORD"):
        _bikeshare(load_settings())
