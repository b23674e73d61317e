"""Pause and Play on the page Pipelines: what the page sends, and what is left of the project afterwards."""

from __future__ import annotations

import asyncio
import datetime as dt

import pytest
import yaml

from tests.support.mage import copy_project

pytestmark = [pytest.mark.mage, pytest.mark.filterwarnings("ignore")]  # Mage warns of much

PIPELINE = "taxi_trips"


@pytest.fixture
def folder(mage_database, tmp_path, monkeypatch):
    """The folder of taxi_trips in a copy of the project; its triggers are in Mage's database."""
    from mage_ai.data_preparation.models import triggers
    from mage_ai.orchestration.db import db_connection
    from mage_ai.orchestration.db.models.schedules import PipelineSchedule
    from mage_ai.settings.repo import get_repo_path, set_repo_path

    before = get_repo_path()
    project = copy_project(tmp_path)
    set_repo_path(str(project))
    monkeypatch.chdir(tmp_path)
    PipelineSchedule.query.delete()  # those of other tests
    PipelineSchedule.create_or_update_batch(triggers.get_triggers_by_pipeline(PIPELINE))
    yield project / "pipelines" / PIPELINE
    PipelineSchedule.query.delete()
    db_connection.session.commit()
    set_repo_path(before)


def click(status: str) -> None:
    """Send what the page sends: the pipeline as the list shows it, with a status."""
    from mage_ai.api.operations.base import BaseOperation
    from mage_ai.orchestration.db.models.oauth import User

    owner = User(id=1, username="owner", _owner=True)
    listed = asyncio.run(BaseOperation(action="list", resource="pipelines", user=owner).execute())
    (pipeline,) = [each for each in listed["pipelines"] if each["uuid"] == PIPELINE]
    answer = asyncio.run(
        BaseOperation(
            action="update",
            resource="pipelines",
            pk=PIPELINE,
            user=owner,
            payload={
                "pipeline": {
                    **pipeline,
                    "concurrency_config": {},
                    "run_pipeline_in_one_process": False,
                    "status": status,
                }
            },
        ).execute()
    )
    if "error" in answer:
        raise AssertionError(answer["error"]["message"])


def active() -> set[str]:
    from mage_ai.orchestration.db.models.schedules import PipelineSchedule

    triggers = PipelineSchedule.query.filter(PipelineSchedule.pipeline_uuid == PIPELINE)
    return {trigger.name for trigger in triggers if trigger.status == "active"}


@pytest.fixture
def patched(folder, monkeypatch):
    from mage_ai.api.resources.PipelineResource import PipelineResource

    from launchers.mage.pause import patch_pause

    monkeypatch.setattr(PipelineResource, "update", PipelineResource.update)  # put back afterwards
    patch_pause()


def test_limits_survive_and_play_starts_what_pause_has_stopped(folder, patched):
    from mage_ai.orchestration.db.models.schedules import PipelineSchedule

    once = {"pipeline_uuid": PIPELINE, "schedule_type": "time", "schedule_interval": "@once"}
    PipelineSchedule.create(name="an old run", status="inactive", **once)
    metadata = (folder / "metadata.yaml").read_bytes()
    triggers = yaml.safe_load((folder / "triggers.yaml").read_text())["triggers"]
    assert active() == {"new file", "started by pipelines"}

    click("inactive")
    assert active() == set()
    assert (folder / "metadata.yaml").read_bytes() == metadata

    click("active")
    assert active() == {"new file", "started by pipelines"}
    assert (folder / "metadata.yaml").read_bytes() == metadata
    after = yaml.safe_load((folder / "triggers.yaml").read_text())["triggers"]
    assert [each["status"] for each in after] == [each["status"] for each in triggers]
    for trigger in after[2:]:  # what was due during the pause is not due now
        enabled = trigger["last_enabled_at"].replace(tzinfo=dt.UTC)
        assert dt.datetime.now(dt.UTC) - enabled < dt.timedelta(hours=1)


def test_play_without_pause_chooses_no_trigger(folder, patched):
    from mage_ai.orchestration.db.models.schedules import PipelineSchedule

    PipelineSchedule.query.update({"status": "inactive"})
    with pytest.raises(AssertionError, match="taxi_trips was not paused: enable its triggers one by one"):
        click("active")
    assert active() == set()
    PipelineSchedule.query.filter(PipelineSchedule.name != "monthly green").delete()
    click("active")
    assert active() == {"monthly green"}
