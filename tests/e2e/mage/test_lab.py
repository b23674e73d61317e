"""The pipelines analyst_lab and loaded_months, and their pages with charts."""

from __future__ import annotations

import pandas as pd
import pytest
import yaml

from mage_project.utils import trips as whole_month
from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.request import LoadRequest
from nyc_taxi.model.run import Run, RunContext
from nyc_taxi.pipelines.trips.run import run_month
from nyc_taxi.settings import PROJECT, load_settings
from tests.support.mage import copy_project, environment_of, running

pytestmark = [pytest.mark.mage, pytest.mark.filterwarnings("ignore")]  # Mage warns of much

MAGE_PROJECT = PROJECT / "mage_project"
PAGES = ("analyst_lab", "loaded_months")


@pytest.fixture
def months(here, monkeypatch):
    """March and April of green, loaded into Postgres and DuckDB."""
    from launchers.mage.environment import embedded_addresses

    for name, value in embedded_addresses(load_settings(), print).items():
        monkeypatch.setenv(name, value)
    for number, rows in ((3, 400), (4, 300)):
        request = LoadRequest(Service.GREEN, Month(2020, number), f"sample:{rows}:1", ("postgres", "duckdb"))
        run_month(request, RunContext(load_settings(), Run("test", "cli")))


def outputs_of(name):
    """The output of each block, after the pipeline has run with its own variables."""
    from mage_ai.data_preparation.models.pipeline import Pipeline

    pipeline = Pipeline.get(name, repo_path=str(MAGE_PROJECT))
    pipeline.execute_sync(global_vars=dict(pipeline.variables), run_tests=True, update_status=False)
    blocks = [block for block in pipeline.blocks_by_uuid.values() if block.type != "markdown"]
    return {block.uuid: block.get_raw_outputs(block.uuid)[0] for block in blocks}


def charts_of(name):
    layout = MAGE_PROJECT / "presenters" / "pipelines" / name / "dashboard" / "block_layout.yaml"
    return yaml.safe_load(layout.read_text())


def test_the_lab_counts_the_whole_month(months):
    files = MAGE_PROJECT.rglob("*.yaml")
    before = {path: path.read_bytes() for path in files}
    outputs = outputs_of("analyst_lab")
    april = len(whole_month("green", "2020-04", generated=True))
    march = len(whole_month("green", "2020-03", generated=True))
    for name in ("lab_days", "lab_hours", "lab_fares"):
        assert outputs[name]["trips"].sum() == april, name
    assert outputs["lab_quarantine"]["rows"].sum() >= 300 - april
    both = outputs["lab_two_months"]
    assert both["this_month"].sum() == april
    assert 0 < both["month_before"].sum() <= march, "March has a day more"
    assert before == {path: path.read_bytes() for path in before}


def test_loaded_months_names_every_destination(months):
    (table,) = outputs_of("loaded_months").values()
    assert isinstance(table, pd.DataFrame)
    assert list(table["month"].unique()) == ["2020-04", "2020-03"]
    rows = table.set_index(["month", "destination"])
    assert set(rows.index) == {
        (month, name) for month in ("2020-03", "2020-04") for name in ("postgres", "duckdb")
    }
    assert all("generated, not TLC's data" in status for status in table["status"])
    assert all("not in gcs" in status for status in table["status"])
    assert (table["trips"] + table["quarantined"]).tolist() == [300, 300, 400, 400]


@pytest.mark.parametrize("name", PAGES)
def test_charts_name_columns_that_exist(months, name):
    outputs, page = outputs_of(name), charts_of(name)
    for uuid, chart in page["blocks"].items():
        configuration = chart["configuration"]
        metrics = [metric["column"] for metric in configuration.get("metrics", [])]
        columns = set(outputs[chart["data_source"]["block_uuid"]])
        assert {*configuration["group_by"], *metrics} <= columns, uuid
    shown = {chart["block_uuid"] for row in page["layout"] for chart in row}
    assert shown == set(page["blocks"])


@pytest.mark.slow
def test_pages_have_data_whenever_they_are_opened(months, environment, tmp_path):
    """Without the patch Mage answers a request for a chart with an empty page."""
    project = copy_project(tmp_path)
    with running(project, environment_of(project, environment)) as mage:
        for name in PAGES:
            path = f"/page_block_layouts/pipelines%2F{name}%2Fdashboard"
            page = mage.call("GET", path)["page_block_layout"]
            assert page["layout"] == charts_of(name)["layout"]
            for uuid in page["blocks"]:
                chart = mage.call("GET", f"{path}/block_layout_items/{uuid}")["block_layout_item"]
                assert chart["error"] is None
                assert chart["data"]["x"], uuid
                assert len(chart["data"]["y"]), uuid
