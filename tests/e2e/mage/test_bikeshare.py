"""The pipeline bikeshare_stations: its blocks as Mage runs them, and their tests on what is wrong."""

from __future__ import annotations

import importlib
import itertools
import json

import pandas as pd
import pytest

from nyc_taxi.errors import NotPublished, SettingsError
from nyc_taxi.pipelines.bikeshare import bucket, flow, sample
from nyc_taxi.settings import PROJECT
from tests.support.bikeshare import DAY, RUN, Stack, lines, trip
from tests.support.blocks import output_with, parts

pytestmark = [pytest.mark.mage, pytest.mark.filterwarnings("ignore")]  # Mage warns of much

BLOCKS = {
    "extract_bikeshare": "data_loaders",
    "land_bikeshare": "data_exporters",
    "load_bikeshare": "data_exporters",
    "transform_bikeshare": "transformers",
}


@pytest.fixture
def stack(here, gcs_server, tmp_path, monkeypatch):
    """A database, a folder in the bucket and a warehouse of the test's own, with one day's data."""
    stack = Stack(gcs_server, tmp_path).enter(monkeypatch)
    stack.fill()
    return stack


def block(name):
    return importlib.import_module(f"mage_project.{BLOCKS[name]}.{name}")


def call(name, *arguments, **variables):
    """A block's output."""
    return getattr(block(name), name)(*arguments, **{"day": str(DAY), **variables})


def check(name, test, rows, reference):
    """One of a block's tests, as Mage calls it."""
    getattr(block(name), test)(output_with(rows, reference))


def run_all():
    """Each block's output."""
    outputs, last = {}, []
    for name in BLOCKS:
        outputs[name] = call(name, *last)
        last = [outputs[name]]
    return outputs


def test_pipeline_runs_with_its_tests_and_gives_what_the_command_gives(stack, tmp_path, monkeypatch):
    from mage_ai.data_preparation.models.pipeline import Pipeline

    files = {path: path.read_bytes() for path in (PROJECT / "mage_project").rglob("*.yaml")}
    pipeline = Pipeline.get("bikeshare_stations", repo_path=str(PROJECT / "mage_project"))
    pipeline.execute_sync(global_vars={"day": str(DAY)}, run_tests=True, update_status=False)
    for name in BLOCKS:
        (output,) = pipeline.get_block(name).get_raw_outputs(name)
        rows, reference = parts(output)
        assert isinstance(rows, pd.DataFrame)
        assert 0 < len(rows) <= 1000, name
        assert reference["day"] == str(DAY)
        json.dumps(pipeline.get_block(name).get_outputs())  # as Mage's pages get them
    assert files == {path: path.read_bytes() for path in (PROJECT / "mage_project").rglob("*.yaml")}
    through_mage = stack.content()
    assert stack.ask("SELECT DISTINCT orchestrator FROM ledger") == [("mage",)]
    (tmp_path / "warehouse.duckdb").unlink()
    flow.run_day(stack.config, DAY, RUN)
    assert stack.content() == through_mage


def test_blocks_are_ordered_and_described(here):
    from mage_ai.data_preparation.models.pipeline import Pipeline

    pipeline = Pipeline.get("bikeshare_stations", repo_path=str(PROJECT / "mage_project"))
    order = {name: [up.uuid for up in one.upstream_blocks] for name, one in pipeline.blocks_by_uuid.items()}
    names = list(BLOCKS)
    assert order == {
        "about_bikeshare": [],
        names[0]: [],
        **{name: [before] for before, name in itertools.pairwise(names)},
    }
    assert pipeline.description
    assert set(pipeline.variables) == {"day", "wait", "poll"}


def test_previews_show_what_a_block_gives(stack):
    outputs = run_all()
    assert outputs["extract_bikeshare"]["name"].iloc[0] == sample.NASTY
    assert len(outputs["load_bikeshare"]) == 200
    top = outputs["transform_bikeshare"]
    assert list(top["position"]) == list(range(1, 11))
    assert list(top["trips"]) == sorted(top["trips"], reverse=True)


def test_wrong_outputs_are_found_out(stack, tmp_path):
    outputs = run_all()
    rows, reference = parts(outputs["extract_bikeshare"])
    changed = tmp_path / "changed.parquet"
    changed.write_bytes(b"changed")
    wrong = {**reference, "snapshots": [{**reference["snapshots"][0], "path": str(changed)}]}
    with pytest.raises(AssertionError, match="has SHA-256"):
        check("extract_bikeshare", "test_files_hold_what_was_read", rows, wrong)

    bucket.put(stack.config, reference["snapshots"][0]["key"], b"changed")
    with pytest.raises(AssertionError, match=r"stations.parquet has SHA-256"):
        check("land_bikeshare", "test_bucket_holds_the_snapshots", *parts(outputs["land_bikeshare"]))

    rows, reference = parts(outputs["load_bikeshare"])
    ledger = [{**entry, "row_count": entry["row_count"] + 1} for entry in reference["ledger"]]
    with pytest.raises(AssertionError, match="raw_stations has 24 rows of the day, the ledger says 25"):
        check(
            "load_bikeshare", "test_tables_hold_what_the_ledger_says", rows, {**reference, "ledger": ledger}
        )

    stack.change("INSERT INTO raw_trips FROM raw_trips LIMIT 1")
    with pytest.raises(AssertionError, match="1 trips of the day repeat the trip_id of another"):
        check("load_bikeshare", "test_trips_are_distinct", rows, reference)
    with pytest.raises(
        AssertionError, match="fact_trips_daily counts 200 trips of the day, raw_trips has 201"
    ):
        check("transform_bikeshare", "test_no_trip_is_lost", *parts(outputs["transform_bikeshare"]))
    stack.change("INSERT INTO dim_stations FROM dim_stations LIMIT 1")
    with pytest.raises(AssertionError, match="dim_stations has 25 rows for 24 stations"):
        check("transform_bikeshare", "test_stations_are_distinct", *parts(outputs["transform_bikeshare"]))


def test_variables(stack):
    from mage_project.utils.bikeshare import day_of, waiting_of

    assert day_of({"day": "2018-01-02"}).day == 2
    assert str(day_of({"execution_date": "2018-01-02T05:00:00"})) == "2018-01-01"
    assert waiting_of({}) == (0.0, flow.POLL)
    assert waiting_of({"wait": "3600", "poll": 5}) == (3600.0, 5.0)
    with pytest.raises(SettingsError, match="wait 'long' and poll None must be numbers of seconds"):
        waiting_of({"wait": "long"})
    extracted = call("extract_bikeshare", day="2018-01-02")
    landed = call("land_bikeshare", extracted)
    with pytest.raises(NotPublished, match="the trips of 2018-01-02 have not arrived yet"):
        call("load_bikeshare", landed)
    stack.trips(lines(trip(1, DAY.replace(day=2))), DAY.replace(day=2))
    assert len(call("load_bikeshare", landed)) == 1
