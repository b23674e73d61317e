"""What people do in Mage's pages: run blocks, look at rows, change a rule, start a run, read its log."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from pathlib import Path

import playwright.sync_api
import pytest

from mage_project.utils.destination_queries import query_destination
from nyc_taxi.load.registry import open_destination
from nyc_taxi.model.months import Month, Service
from nyc_taxi.settings import PROJECT, load_settings
from tests.e2e.mage.browser.conftest import ARTEFACTS
from tests.support.mage import Mage

pytestmark = [pytest.mark.mage, pytest.mark.slow]

BLOCKS = (
    *("download_trips", "clean_trips", "derive_trips", "trips_to_parquet", "quality_of_month"),
    *("trips_to_postgres", "trips_to_gcs", "trips_to_warehouse", "trips_to_other_destinations"),
)
ILLUSTRATIONS = {"quality": "mage-quality.png", "pipeline": "mage-pipeline.png", "log": "mage-log.png"}
"""Screenshots that docs/mage.md shows."""

TOTALS = "SELECT count(*) AS trips, sum(total_amount) AS total FROM {trips}"
MONTHS = [Month(2020, number) for number in range(3, 9)]


def keep(page, name: str) -> None:
    """Keep a screenshot, and renew the documentation's when that is asked for."""
    ARTEFACTS.mkdir(parents=True, exist_ok=True)
    path = ARTEFACTS / f"{name}.png"
    page.screenshot(path=path)
    if name in ILLUSTRATIONS and os.environ.get("DOCS_IMAGES"):
        shutil.copyfile(path, PROJECT / "docs" / "images" / ILLUSTRATIONS[name])


def run_block(page, name: str) -> str:
    """Select a block, press Ctrl-Enter, wait until it is done; what it printed."""
    # Mage hides values of the environment wherever they occur in outputs: postgres is a user's name
    printed = page.get_by_text(re.compile(rf"{name.replace('postgres', '(postgres|[*]+)')}: \d+\.\d s \["))
    was_run = printed.count() > 0
    header = page.locator("[class*=code-block-header]").filter(has=page.locator(f"a:text-is('{name}')"))
    for _ in range(3):  # an output above that grows may move the header away from the mouse
        header.locator("p").nth(1).click()  # the block's kind
        page.keyboard.press("Control+Enter")
        with contextlib.suppress(playwright.sync_api.TimeoutError):
            if was_run:
                printed.wait_for(state="detached", timeout=20_000)  # its earlier output goes first
            printed.wait_for(timeout=60_000)
            break
    return printed.inner_text()  # or what Mage puts in its place when the rows have come


def balance(page) -> tuple[int, ...]:
    """Rows in, trips and quarantined rows, as clean_trips has printed them."""
    printed = page.get_by_text(re.compile(r"[\d,]+ rows in = [\d,]+ trips \+ [\d,]+ quarantined")).first
    counts = re.search(r"([\d,]+) rows in = ([\d,]+) trips \+ ([\d,]+) quarantined", printed.inner_text())
    return tuple(int(count.replace(",", "")) for count in counts.groups())


def open_editor(page, mage: Mage) -> None:
    page.goto(f"{mage.url}/pipelines/taxi_trips/edit")
    page.get_by_text("def download_trips").wait_for()


def test_a_person_runs_changes_and_follows_a_month(page, mage: Mage, project: Path) -> None:
    open_editor(page, mage)
    page.get_by_text("One month of New York taxi trips").wait_for()
    keep(page, "pipeline")
    for name in BLOCKS:
        assert "service=green month=2020-04" in run_block(page, name)
        keep(page, f"block-{name}")

    assert page.get_by_text("DBT library not installed").count() == 0
    metadata = project / "pipelines" / "taxi_trips" / "metadata.yaml"
    assert metadata.read_text().count("status: executed") >= len(BLOCKS)
    assert "\nvariables_dir:" not in metadata.read_text()

    # real rows in the previews, and the picture
    for column in ("pickup_datetime", "total_amount"):
        page.get_by_text(column, exact=True).first.wait_for()
    assert page.get_by_text(re.compile(r"2020-04-\d\d\s*T\d\d:\d\d")).count() >= 20
    picture = page.locator("img[src^='data:image/png']")
    picture.scroll_into_view_if_needed()
    drawn = picture.evaluate("image => [image.naturalWidth, image.naturalHeight, image.clientWidth]")
    assert drawn[:2] == [630, 432]
    assert drawn[2] <= 630
    keep(page, "quality")
    report = page.frame_locator("iframe[title=Report]")
    assert report.get_by_role("heading", name="green 2020-04").inner_text() == "green 2020-04"
    assert report.locator("path.zone").count() > 250

    # a rule is changed in the page: the file changes, and what clean_trips counts
    rows_in, trips, quarantined = balance(page)
    assert rows_in == trips + quarantined
    rule = "when: dropoff_datetime < pickup_datetime"
    stricter = f"{rule} + INTERVAL 3 MINUTE"
    page.get_by_text("rules.yaml", exact=True).first.dblclick()
    page.get_by_text("# The rules: conditions that quara").click()
    page.keyboard.press("Control+f")
    page.keyboard.type(rule)
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    page.keyboard.type(stricter)
    keep(page, "rules")
    original = (project / "rules.yaml").read_text()
    page.keyboard.press("Control+s")
    mage.wait(lambda: (project / "rules.yaml").read_text() == original.replace(rule, stricter, 1), 30)
    page.locator("#ArcaneLibrary-header button").last.click()  # the red one
    run_block(page, "clean_trips")
    changed = balance(page)
    assert changed[0] == rows_in
    assert changed[2] > quarantined
    keep(page, "changed")

    # a run is started on the page of triggers, watched, and its log read
    page.goto(f"{mage.url}/pipelines/taxi_trips/triggers")
    page.get_by_text("monthly green").wait_for()
    keep(page, "triggers")
    page.get_by_text("Run@once").click()
    page.get_by_role("button", name="Run now").click()
    page.get_by_role("button", name="Run now").wait_for(state="detached")
    (run,) = mage.wait(mage.runs)
    page.goto(f"{mage.url}/pipelines/taxi_trips/runs")
    page.get_by_role("button", name="Done").wait_for(timeout=120_000)
    assert page.get_by_text("9 / 9").count() == 1
    keep(page, "runs")
    page.goto(f"{mage.url}/pipelines/taxi_trips/logs?pipeline_run_id[]={run['id']}")
    line = f"{changed[0]:,} rows in = {changed[1]:,} trips + {changed[2]:,} quarantined"
    page.get_by_text(f"{line} [service=green month=2020-04 run={run['id']}]").first.wait_for()
    keep(page, "log")
    assert mage.ended(run["id"])["status"] == "completed"


def test_an_analyst_may_look_but_not_change(mage: Mage) -> None:
    roles = {role["name"]: role["id"] for role in mage.call("GET", "/roles")["roles"]}
    secret = "a-password-of-an-analyst"
    user = {"email": "analyst@localhost.localdomain", "username": "analyst", "password": secret}
    mage.call(
        "POST", "/users", user={**user, "password_confirmation": secret, "roles_new": [roles["Viewer"]]}
    )
    analyst = Mage(mage.process, mage.url, user["email"], secret)
    assert analyst.call("GET", "/pipelines/taxi_trips")["pipeline"]["description"]
    assert isinstance(analyst.runs(), list)
    for method, path, body in (
        ("PUT", "/pipelines/taxi_trips", {"pipeline": {"description": "mine"}}),
        ("POST", "/pipelines", {"pipeline": {"name": "mine"}}),
        ("DELETE", "/pipelines/taxi_trips", {}),
        (
            "PUT",
            f"/pipeline_schedules/{mage.triggers()['monthly green']['id']}",
            {"pipeline_schedule": {"status": "active"}},
        ),
    ):
        with pytest.raises(AssertionError, match="'code': 403"):
            analyst.call(method, path, **body)


@pytest.mark.real
def test_six_real_months_from_the_page(page, mage: Mage, real_data: Path, here: None) -> None:
    page.goto(f"{mage.url}/pipelines/taxi_backfill/triggers")
    page.get_by_text("Run@once").click()
    page.get_by_text("Run pipeline now").wait_for()
    backfill = {"first": "2020-03", "last": "2020-08", "source": str(real_data / "nyc-tlc-data")}
    for name, value in backfill.items():
        page.locator(f"xpath=//*[text()='{name}']/following::input[1]").last.fill(value)
    keep(page, "backfill")
    page.get_by_role("button", name="Run now").click()
    mage.wait(lambda: by_month(mage) == dict.fromkeys(map(str, MONTHS), "completed"), 300)
    results = {
        destination: [
            query_destination(destination, TOTALS, Service.GREEN, month).iloc[0] for month in MONTHS
        ]
        for destination in ("postgres", "duckdb", "gcs")
    }
    for destination in results:
        entries = [
            row
            for row in open_destination(destination, load_settings()).ledger_entries()
            if row.month in MONTHS
        ]
        assert sum(row.rows_in for row in entries) == 532_807, destination
        trips = sum(int(row["trips"]) for row in results[destination])
        assert trips == sum(row.rows_loaded for row in entries), destination
        assert trips == 532_807 - sum(row.rows_quarantined for row in entries), destination
    totals = {
        destination: [round(float(row["total"]), 2) for row in rows] for destination, rows in results.items()
    }
    assert totals["postgres"] == totals["duckdb"] == totals["gcs"]


def by_month(mage: Mage) -> dict[str, str]:
    """Status by month of the runs that taxi_backfill has started."""
    runs = [run for run in mage.runs() if run["pipeline_schedule_name"].startswith("started by pipelines")]
    return {run["variables"]["month"]: run["status"] for run in runs}
