"""The promise under SIGKILL: whatever dies wherever, each month is there once, whole, and named.

Victims are killed at places spread over all that a load passes (every call and return of the package
on the way) and at random moments, alone and side by side, while the source changes from one version
to the other. After each kill the destination must hold a whole version of each month, and where the
ledger names one, that one; after a last run without a kill, the one the source has.

`make test-crash` runs it with 50 kills per destination and prints the figures; KILLS sets another number.
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from nyc_taxi.lake.workspace import Workspace
from nyc_taxi.load.registry import REGISTRY
from nyc_taxi.model.months import Month, Service
from nyc_taxi.settings import load_settings
from tests.e2e.crash.conftest import MONTHS, Source
from tests.support.crash_victim import WATCHED, ended, spread, start, watched
from tests.support.destinations import FIXTURES, Probe, Row

KILLS = int(os.environ.get("CRASH_KILLS", "6"))


@pytest.fixture
def probe(request: pytest.FixtureRequest, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Probe:
    """An empty destination, configured in the environment."""
    probe: Probe = request.getfixturevalue(FIXTURES[request.param])
    monkeypatch.setenv("TAXI_RETRIES", "5")  # victims overtake each other
    return probe


@pytest.mark.crash
@pytest.mark.parametrize("probe", sorted(REGISTRY), indirect=True)
def test_every_month_survives(
    probe: Probe, source: Source, workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    destination = probe.name
    chance = random.Random(20200401)
    whole, places, seconds = _every_version(source, probe, tmp_path)
    killed = survived = hit = 0
    at_places = spread(list(places), KILLS - KILLS // 3)
    aimed = len(at_places)
    while killed < KILLS:
        month = MONTHS[(killed + survived) % len(MONTHS)]
        place = at_places.pop() if at_places else None
        if place:
            month = places[place][killed % len(places[place])]
        source.turn(month)
        if place:
            victims = [start(month, source.folder, destination, kill=place)]
        else:
            beside = MONTHS[chance.randrange(len(MONTHS))]  # often another month, sometimes the same
            victims = [start(name, source.folder, destination) for name in (month, beside)]
            time.sleep(chance.uniform(0.05, seconds))
            for victim in victims:
                victim.kill()
        codes = [ended(victim) for victim in victims]
        hit += codes == [-9]
        killed += codes.count(-9)
        survived += codes.count(0)
        for each in MONTHS:
            _check(probe, each, whole)
        assert survived < 3 * KILLS + 20, "victims no longer die"
    # a load that goes on from what a killed one left may not come to every place
    assert hit >= aimed / 2, f"only {hit} of {aimed} victims came to the place chosen for them"
    for month in MONTHS:
        assert ended(start(month, source.folder, destination)) == 0
        expected = whole[month][source.turns[month]]
        assert probe.rows("trips", Month.parse(month)) == expected[1]
        entry = probe.open().ledger_entry(Service.GREEN, Month.parse(month))
        assert entry is not None
        assert entry.version == expected[0]
        assert entry.rows_loaded == len(expected[1])
        assert entry.rows_in == entry.rows_loaded + entry.rows_quarantined
    leftovers = [path for path in workspace.rglob("*.part*") if path.is_file()]
    with capsys.disabled():
        print(  # noqa: T201
            f"\n{destination}: {killed} kills ({hit} of them at one of {len(places)} places,"
            f" the others at random moments), {survived} survived; {len(MONTHS)} months whole after each;"
            f" {len(leftovers)} unfinished files wait to be resumed or pruned"
        )


Versions = dict[str, dict[int, tuple[str, list[Row]]]]
"""By month and turn of the source: the version's name and its trips."""


Places = dict[str, list[str]]
"""The months whose load passes a place of the code, by place."""


def _every_version(source: Source, probe: Probe, folder: Path) -> tuple[Versions, Places, float]:
    """Load every version once.

    Returns the versions as the Parquet in the workspace has them, all places that a load over another
    version passes, and how many seconds a load takes.
    """
    whole: Versions = {month: {} for month in MONTHS}
    passed, places, seconds = folder / "places", Places(), 0.0
    for month in MONTHS:
        for watch in (None, passed):
            source.turn(month)
            began = time.monotonic()
            assert ended(start(month, source.folder, probe.name, places=watch)) == 0
            seconds = seconds if watch else time.monotonic() - began  # watching makes it slower
            entry = probe.open().ledger_entry(Service.GREEN, Month.parse(month))
            assert entry is not None
            folder = Workspace(load_settings().workspace).version_folder(
                Service.GREEN, Month.parse(month), entry.version
            )
            whole[month][source.turns[month]] = (
                entry.version,
                pq.read_table(folder / "trips.parquet").to_pylist(),
            )
        assert whole[month][0] != whole[month][1]
        for place in passed.read_text().splitlines():
            places.setdefault(place, []).append(month)
    modules = {watched(place.partition(":")[0]) for place in places}
    assert modules == set(WATCHED), "a load no longer passes through all that is watched"
    return whole, places, seconds


def _check(probe: Probe, month: str, whole: Versions) -> None:
    """The month is there as one whole version, which is the ledger's if the ledger names one."""
    rows = probe.rows("trips", Month.parse(month))
    versions = [version for version, expected in whole[month].values() if rows == expected]
    assert len(versions) == 1, f"{probe.name} holds {len(rows)} rows of {month}, which is no version of it"
    entry = probe.open().ledger_entry(Service.GREEN, Month.parse(month))
    assert entry is None or entry.version == versions[0]
