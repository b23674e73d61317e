"""A pipeline that has lost its limit of runs is reported."""

from __future__ import annotations

import pytest
import yaml

from launchers.mage import health, limits
from nyc_taxi.settings import PROJECT
from tests.support.mage import copy_project


@pytest.fixture
def project(tmp_path):
    return copy_project(tmp_path)


def test_the_project_has_its_limits(project):
    assert limits.lost_limits(PROJECT / "mage_project") == []
    assert limits.lost_limits(project.parent) == [], "a project without these pipelines needs none"
    names = {path.parent.name for path in project.glob("pipelines/*/triggers.yaml")}
    assert names <= set(limits.NEEDED), "what runs by itself has limits"


@pytest.mark.parametrize("text", ["<<<<<<< HEAD\n", "- a list\n", "", ": :\n"])
def test_metadata_that_cannot_be_read_is_reported(project, text):
    file = project / "pipelines" / "taxi_trips" / "metadata.yaml"
    file.write_text(text)
    assert limits.lost_limits(project) == [
        f"{file} cannot be read as the metadata of a pipeline: restore it (git diff)."
    ]


def test_a_lost_limit_is_reported_with_its_file(project, monkeypatch, capsys):
    file = project / "pipelines" / "taxi_trips" / "metadata.yaml"
    metadata = yaml.safe_load(file.read_text())
    # what Mage's own Pause makes of it
    file.write_text(
        yaml.safe_dump(metadata | {"concurrency_config": {}, "run_pipeline_in_one_process": False})
    )
    expected = (
        "taxi_trips has lost concurrency_config: pipeline_run_limit_all_triggers, concurrency_config: "
        f"pipeline_run_limit, run_pipeline_in_one_process: restore it in {file} (git diff)."
    )
    assert limits.lost_limits(project) == [expected]
    monkeypatch.setattr(health, "MAGE_PROJECT", project)
    monkeypatch.setattr(health, "is_healthy", lambda port: port == 1)
    monkeypatch.setattr("sys.argv", ["health", "1"])
    assert health.main() == 0
    assert capsys.readouterr().err == f"{expected}\n"
