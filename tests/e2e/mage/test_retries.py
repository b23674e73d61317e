"""Blocks that fetch or load are tried again: by Mage's own code, whose pauses are skipped."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import yaml

from nyc_taxi.settings import PROJECT

pytestmark = [pytest.mark.mage, pytest.mark.filterwarnings("ignore")]  # Mage warns of much

FILES = sorted((PROJECT / "mage_project" / "pipelines").glob("*/metadata.yaml"))
BLOCKS = [
    pytest.param(file.parent.name, block["uuid"], id=f"{file.parent.name}-{block['uuid']}")
    for file in FILES
    for block in yaml.safe_load(file.read_text())["blocks"]
    if block.get("retry_config")
]


@pytest.fixture
def pauses(monkeypatch):
    """The pauses that were asked for, none of which is made."""
    from mage_ai.shared import retry

    seconds = []
    monkeypatch.setattr(retry, "time", SimpleNamespace(sleep=seconds.append))
    return seconds


@pytest.mark.parametrize(("pipeline", "block"), BLOCKS)
def test_a_block_that_fails_is_called_three_times(here, pauses, monkeypatch, pipeline, block):
    from mage_ai.data_preparation.executors.block_executor import BlockExecutor
    from mage_ai.data_preparation.models.pipeline import Pipeline

    calls = []

    def fail(*_, **__):
        calls.append(block)
        raise ConnectionError("gone")

    loaded = Pipeline.get(pipeline, repo_path=str(PROJECT / "mage_project"))
    monkeypatch.setattr(BlockExecutor, "_execute", fail)
    monkeypatch.setattr(BlockExecutor, "execute_callback", lambda *_, **__: None)
    executor = BlockExecutor(loaded, block)
    with pytest.raises(ConnectionError):
        executor.execute(global_vars={}, on_failure=lambda *_, **__: None, skip_logging=True)
    assert (len(calls), pauses) == (3, [60, 60])


def test_every_block_of_a_triggered_pipeline_that_fetches_or_loads_is_tried_again():
    assert {each.id for each in BLOCKS} == {
        "taxi_catch_up-find_pending_months",
        "taxi_trips-download_trips",
        "taxi_trips-trips_to_gcs",
        "taxi_trips-trips_to_postgres",
        "taxi_trips-trips_to_other_destinations",
        "taxi_trips-trips_to_warehouse",
    }
