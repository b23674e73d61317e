"""What `taxi doctor` says of the stations' database."""

from __future__ import annotations

from pathlib import Path

import pytest

from nyc_taxi.errors import SourceError
from nyc_taxi.pipelines.bikeshare import sample
from nyc_taxi.pipelines.bikeshare.extract import transact
from nyc_taxi.reporting.doctor import _bikeshare
from nyc_taxi.settings import settings
from tests.support.bikeshare import World


def test_nothing_configured_is_no_fault(nothing: Path) -> None:
    assert _bikeshare() == "MYSQL_HOST is not set: its stations come from an embedded MySQL server"
    assert not (nothing / "mysql").exists()


def test_the_stations_are_counted(world: World) -> None:
    world.stations(sample.STATIONS[:3])
    assert _bikeshare().endswith(": 3 stations")


def test_a_missing_table_and_a_wrong_password_are_named(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.stations()
    transact(world.mysql, lambda cursor: cursor.execute("DROP TABLE stations"))
    with pytest.raises(SourceError, match=r"correct tables.yaml, or fill the database"):
        _bikeshare()
    monkeypatch.setenv("MYSQL_PASSWORD", "wrong")
    settings.cache_clear()
    with pytest.raises(SourceError, match="check MYSQL_USER and MYSQL_PASSWORD"):
        _bikeshare()
