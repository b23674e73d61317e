"""A destination that is added to the registry is loaded, shown and queried without further changes."""

from __future__ import annotations

import io

import pandas as pd
import pytest
from rich.console import Console

from launchers.mage.progress_display import Display
from mage_project.utils import steps
from mage_project.utils.destination_queries import query_destination
from mage_project.utils.loading import EXPORTERS, destinations_of
from mage_project.utils.references import reference_of, with_reference
from nyc_taxi.load.registry import REGISTRY, open_destination
from nyc_taxi.model.months import Month, Service
from nyc_taxi.settings import PROJECT, load_settings
from tests.support.archive import REGISTRATION

pytestmark = [pytest.mark.mage, pytest.mark.filterwarnings("ignore")]  # Mage warns of much

BLOCK = "trips_to_other_destinations"
MONTH = (Service.GREEN, Month(2020, 4))


@pytest.fixture(autouse=True)
def archive(here, monkeypatch):
    monkeypatch.setitem(REGISTRY, "archive", REGISTRATION)


def run(**variables):
    from mage_ai.data_preparation.models.pipeline import Pipeline

    pipeline = Pipeline.get("taxi_trips", repo_path=str(PROJECT / "mage_project"))
    month = {"service": "green", "month": "2020-04", "source": "sample:300:1"}
    pipeline.execute_sync(global_vars={**month, **variables}, run_tests=True, update_status=False)
    return pipeline.get_block(BLOCK).get_raw_outputs(BLOCK)[0]


def test_every_destination_is_loaded_by_exactly_one_block():
    blocks = [*EXPORTERS, BLOCK]
    assert sorted(name for block in blocks for name in destinations_of(block)) == sorted(REGISTRY)
    assert destinations_of(BLOCK) == ["s3", "archive"]


def test_pipeline_loads_it(monkeypatch):
    events = []
    monkeypatch.setattr(
        steps.Step,
        "send_event",
        lambda step, event, **facts: events.append({"step": step.step, "event": event, **facts}),
    )
    rows = run()
    reference = reference_of(rows)
    assert list(reference["loaded"]) == ["archive"], "S3 is not configured"
    assert len(rows) > 0
    settings = load_settings()
    entries = {name: open_destination(name, settings).ledger_entry(*MONTH) for name in ("duckdb", "archive")}
    assert entries["archive"].rows_loaded == entries["duckdb"].rows_loaded > 0

    shown = io.StringIO()
    console = Console(file=shown, width=100)
    display = Display(console)
    for event in events:
        display.show(event)
    assert "Load into Archive" in shown.getvalue()
    (settings.workspace / "warehouse.duckdb").unlink()  # another destination's
    count = query_destination("archive", "SELECT count(*) AS trips FROM {trips}", *MONTH)
    assert count["trips"].iloc[0] == entries["archive"].rows_loaded


def test_it_is_loaded_after_those_that_it_depends_on(monkeypatch):
    from mage_project.utils import loading

    requested = []

    def load_all(month, names, context, reporter):
        requested.append((month, names))
        return []

    skipped = run(destinations="gcs")
    assert list(skipped["status"]) == ["skipped", "skipped"]
    assert dict(zip(skipped["destination"], skipped["why"], strict=True)) == {
        "S3": "it is not configured",
        "Archive": "the variable destinations does not include it",
    }
    monkeypatch.setattr(loading, "load_all", load_all)
    data = with_reference(pd.DataFrame(), reference_of(skipped)["files"])
    loading.load_month(BLOCK, data, {"destinations": "postgres,gcs,archive"})
    loading.load_month(BLOCK, data, {"destinations": "postgres,archive"})
    assert [names for _, names in requested] == [["gcs", "archive"], ["archive"]]
