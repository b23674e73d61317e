"""The pipelines are committed as Mage writes them."""

from __future__ import annotations

import asyncio
import difflib

import pytest
import yaml

from nyc_taxi.settings import PROJECT
from tests.support.mage import copy_project

pytestmark = [pytest.mark.mage, pytest.mark.filterwarnings("ignore")]  # Mage warns of much

FILES = [path.relative_to(PROJECT) for path in sorted(PROJECT.glob("mage_project/pipelines/*/*.yaml"))]


@pytest.fixture
def project(here, tmp_path, monkeypatch):
    """A copy of the project that Mage may write into."""
    from mage_ai.data_preparation.models.pipeline import Pipeline

    from launchers.mage.canonical import patch_metadata

    monkeypatch.setattr(Pipeline, "to_dict_base", Pipeline.to_dict_base)  # put back afterwards
    patch_metadata()
    return copy_project(tmp_path)


def test_saving_a_pipeline_changes_nothing(project):
    from mage_ai.data_preparation.models.pipeline import Pipeline

    from launchers.mage.canonical import save

    def assert_unchanged():
        for file in FILES:
            message = f"{file} is not as Mage writes it: python -m launchers.mage.canonical"
            assert (project.parent / file).read_text() == (PROJECT / file).read_text(), message

    save(project)
    assert_unchanged()
    for file in project.glob("pipelines/*/metadata.yaml"):  # as a page does
        asyncio.run(Pipeline.get(file.parent.name, repo_path=str(project)).save_async())
    assert_unchanged()


def test_an_edit_in_the_page_is_one_line(project):
    from mage_ai.data_preparation.models.pipeline import Pipeline

    pipeline = Pipeline.get("taxi_trips", repo_path=str(project))
    asyncio.run(pipeline.update({"retry_config": {"retries": 1}}))
    file = "mage_project/pipelines/taxi_trips/metadata.yaml"
    before, after = ((folder / file).read_text().splitlines() for folder in (PROJECT, project.parent))
    changed = [line for line in difflib.ndiff(before, after) if line[0] in "+-"]
    assert changed == ["- retry_config: {}", "+ retry_config:", "+   retries: 1"]


@pytest.mark.parametrize("file", [file for file in FILES if file.name == "triggers.yaml"], ids=str)
def test_triggers_are_as_mage_writes_them(file, here):
    from mage_ai.data_preparation.models.triggers import load_trigger_configs

    text = (PROJECT / file).read_text()
    triggers = load_trigger_configs(text, pipeline_uuid=file.parent.name, raise_exception=True)
    assert yaml.safe_dump({"triggers": [trigger.to_dict() for trigger in triggers]}) == text
