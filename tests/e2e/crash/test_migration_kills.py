"""`taxi migrate` under SIGKILL: no value is lost at any place, and the next migration completes.

The column trip_type is one of text that holds a word: it is set aside, and the month is loaded again.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from nyc_taxi.load.registry import open_destination
from nyc_taxi.model.months import Month, Service
from nyc_taxi.reporting.verification import verify_months
from nyc_taxi.settings import load_settings
from tests.e2e.crash.test_kills import KILLS
from tests.support.builders import green_csv
from tests.support.crash_victim import ended, spread, start_migration
from tests.support.destinations import FIXTURES, SqlProbe
from tests.support.runs import run_month

GREEN, APRIL = Service.GREEN, Month(2020, 4)
TEXT = {"postgres": "text", "duckdb": "varchar"}
BEFORE, AFTER = ["1", "two", "1", "2"], ["1", "2", "1", "2"]


@pytest.fixture
def probe(request: pytest.FixtureRequest, workspace: Path, tmp_path: Path) -> SqlProbe:
    """A destination with one month, whose raw file is in the lake."""
    probe: SqlProbe = request.getfixturevalue(FIXTURES[request.param])
    rows = [{"trip_type": str(1 + number % 2)} for number in range(4)]
    source = green_csv(tmp_path / "green_tripdata_2020-04.csv", rows)
    run_month(GREEN, APRIL, str(source.path), [probe.name])
    return probe


def outdate(probe: SqlProbe) -> None:
    """Make trip_type a column of text, as if another file had been the first."""
    probe.execute("DROP VIEW IF EXISTS {schema}all_rows_green")
    probe.execute(f"ALTER TABLE {{schema}}trips_green DROP COLUMN IF EXISTS trip_type_{TEXT[probe.name]}")
    probe.execute(f"ALTER TABLE {{schema}}trips_green ALTER COLUMN trip_type TYPE {TEXT[probe.name]}")
    probe.execute("UPDATE {schema}trips_green SET trip_type = 'two' WHERE source_row = 2")


def values(probe: SqlProbe) -> list[str]:
    """What the rows hold, in whichever column."""
    rows = probe.rows("trips", APRIL)
    aside = f"trip_type_{TEXT[probe.name]}"
    return [str(row["trip_type"] if row.get(aside) is None else row[aside]) for row in rows]


@pytest.mark.crash
@pytest.mark.parametrize("probe", sorted(TEXT), indirect=True)
def test_a_killed_migration_loses_nothing_and_goes_on(
    probe: SqlProbe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outdate(probe)
    passed, killed = tmp_path / "places", 0
    assert ended(start_migration(probe.name, places=passed)) == 0
    assert values(probe) == AFTER
    places = passed.read_text().splitlines()
    for place in spread(places, min(KILLS, len(places))):
        outdate(probe)
        killed += ended(start_migration(probe.name, kill=place)) == -9
        assert values(probe) in (BEFORE, AFTER)
        assert ended(start_migration(probe.name)) == 0
        assert values(probe) == AFTER
        assert open_destination(probe.name, load_settings()).migrate(dry_run=True) == []
        assert [str(each) for each in verify_months([probe.name], load_settings()) if each.damage] == []
    assert killed
    with capsys.disabled():
        print(f"\n{probe.name}: {killed} kills at {len(places)} places of a migration, nothing lost")  # noqa: T201
