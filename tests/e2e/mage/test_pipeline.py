"""The pipeline as Mage itself runs it, in this process."""

from __future__ import annotations

import json
import re

import pandas as pd
import pytest

from mage_project.utils.checks import parquet_of
from mage_project.utils.references import input_reference, reference_of
from nyc_taxi.model.months import Month, Service
from nyc_taxi.pipelines.trips.clean import clean, derive
from nyc_taxi.pipelines.trips.download import download
from nyc_taxi.pipelines.trips.refine import to_parquet
from nyc_taxi.settings import PROJECT, load_settings

pytestmark = [pytest.mark.mage, pytest.mark.filterwarnings("ignore")]  # Mage warns of much

MAGE_PROJECT = PROJECT / "mage_project"
VARIABLES = {"service": "green", "month": "2020-04", "source": "sample:300:1"}


@pytest.fixture
def pipeline(here):
    from mage_ai.data_preparation.models.pipeline import Pipeline

    return Pipeline.get("taxi_trips", repo_path=str(MAGE_PROJECT))


EXPORTERS = ("trips_to_postgres", "trips_to_gcs", "trips_to_warehouse")
OTHERS = "trips_to_other_destinations"
WITH_ROWS = (
    "download_trips",
    "clean_trips",
    "derive_trips",
    "trips_to_parquet",
    "quality_of_month",
    *EXPORTERS,
)


def run(pipeline, **variables):
    pipeline.execute_sync(global_vars={**VARIABLES, **variables}, run_tests=True, update_status=False)


def test_pipeline_runs_with_its_tests_and_keeps_one_data_frame_a_block(pipeline):
    before = {path: path.read_bytes() for path in MAGE_PROJECT.rglob("*.yaml")}
    run(pipeline)
    for name in WITH_ROWS:
        rows, *more = pipeline.get_block(name).get_raw_outputs(name)
        assert isinstance(rows, pd.DataFrame)
        assert [type(each) for each in more] == [str] * (name == "quality_of_month"), name
        assert 0 < len(rows) <= 300, name
        assert input_reference(rows)["loaded" if name in EXPORTERS else "service"], name
        assert isinstance(reference_of(rows[rows.index > 0]), dict), "filtering keeps the reference"
    (rows,) = pipeline.get_block(OTHERS).get_raw_outputs(OTHERS)
    assert rows.to_dict("records") == [
        {"destination": "S3", "status": "skipped", "why": "it is not configured"}
    ]
    assert reference_of(rows)["loaded"] == {}
    assert {path: path.read_bytes() for path in MAGE_PROJECT.rglob("*.yaml")} == before


def test_parquet_is_the_same_bytes_as_through_the_command_line(pipeline, tmp_path, monkeypatch):
    run(pipeline)
    (rows,) = pipeline.get_block("trips_to_parquet").get_raw_outputs("trips_to_parquet")
    through_mage = parquet_of(reference_of(rows))
    monkeypatch.setenv("TAXI_WORKSPACE", str(tmp_path))
    settings = load_settings()
    source = download(Service.GREEN, Month(2020, 4), VARIABLES["source"], settings)
    files = to_parquet(derive(clean(source, settings), settings), settings)
    assert files.folder.is_relative_to(tmp_path)
    for name in ("trips.parquet", "quarantine.parquet", "quality.parquet"):
        through_command = (files.folder / name).read_bytes()
        assert (through_mage.folder / name).read_bytes() == through_command, name


def test_a_month_that_is_not_there_stops_the_pipeline(pipeline, tmp_path):
    from nyc_taxi.errors import NotPublished

    with pytest.raises(NotPublished, match="green 2020-04 does not exist"):
        run(pipeline, source=str(tmp_path))


def test_previews_survive_the_way_to_mages_pages(pipeline):
    """What a page gets: JSON of the first rows, without an error."""
    run(pipeline)
    for name in WITH_ROWS:
        rows, *more = pipeline.get_block(name).get_outputs()
        assert rows["sample_data"]["rows"], name
        json.dumps([rows, *more])


def test_blocks_are_named_and_ordered(pipeline):
    order = {
        name: [up.uuid for up in block.upstream_blocks] for name, block in pipeline.blocks_by_uuid.items()
    }
    assert order == {
        "about_taxi_trips": [],
        "download_trips": [],
        "clean_trips": ["download_trips"],
        "derive_trips": ["clean_trips"],
        "trips_to_parquet": ["derive_trips"],
        "quality_of_month": ["trips_to_parquet"],
        "trips_to_postgres": ["trips_to_parquet"],
        "trips_to_gcs": ["trips_to_parquet"],
        "trips_to_warehouse": ["trips_to_parquet", "trips_to_gcs"],  # BigQuery loads from the bucket
        OTHERS: ["trips_to_parquet"],
        "explore_trips": [],  # a scratchpad: no part of a run
    }
    assert pipeline.description
    assert set(pipeline.variables) == {*VARIABLES, "destinations", "accept"}


def test_no_absolute_path_is_saved():
    """Mage's pages write the variables' folder of this machine into the file when they save it."""
    for path in MAGE_PROJECT.rglob("*.yaml"):
        absolute_path = re.search(r"^\s*[\w-]+:\s*['\"]?(/|~|[A-Z]:\\)", path.read_text(), re.MULTILINE)
        assert not absolute_path, f"{path}: {absolute_path[0]}... is a path of one machine"


def test_mage_sends_nothing_home(pipeline):
    from mage_ai.data_preparation.repo_manager import get_repo_config

    assert get_repo_config(str(MAGE_PROJECT)).help_improve_mage is False
