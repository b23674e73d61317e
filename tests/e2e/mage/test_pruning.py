"""Files of old runs are deleted, of new ones not."""

from __future__ import annotations

import datetime as dt

import pytest

pytestmark = [pytest.mark.mage, pytest.mark.filterwarnings("ignore")]


def test_only_what_is_older_than_the_settings_say_is_deleted(here, place):
    from mage_project.utils.pruning import prune

    now = dt.datetime.now(dt.UTC)
    runs = place / "mage_data" / "mage_project" / "pipelines" / "taxi_trips"
    folders = {}
    for days in (29, 31):
        moment = f"{now - dt.timedelta(days=days):%Y%m%dT%H%M%S}"
        for kind in (".variables", ".logs"):
            folders[days, kind] = runs / kind / "7" / moment
            (folders[days, kind] / "clean_trips").mkdir(parents=True)
    deleted = set(prune()["folder"])
    assert deleted == {str(folders[31, ".variables"]), str(folders[31, ".logs"])}
    assert [folder.exists() for folder in folders.values()] == [True, True, False, False]
