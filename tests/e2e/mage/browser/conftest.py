"""A browser, and a Mage for it on a copy of the project, set to green 2020-04 (TLC's own if it is here)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nyc_taxi.local import samples
from nyc_taxi.model.months import Month, Service
from nyc_taxi.settings import PROJECT
from tests.support.mage import LOGIN, Mage, copy_project, environment_of, running

if TYPE_CHECKING:
    from playwright.sync_api import ConsoleMessage

FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
ARTEFACTS = PROJECT / "tests" / "artefacts" / "browser"
"""Where screenshots are kept; DOCS_IMAGES=1 renews those of the documentation too."""


@pytest.fixture(scope="module")
def months(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with green 2020-04: TLC's own if TAXI_REAL_DATA names it, else a generated one."""
    if "TAXI_REAL_DATA" in os.environ:
        return Path(os.environ["TAXI_REAL_DATA"]) / "nyc-tlc-data"
    folder = tmp_path_factory.mktemp("months")
    samples.write(Service.GREEN, Month(2020, 4), folder / "green_tripdata_2020-04.csv.gz", rows=3000)
    return folder


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, months: Path) -> Path:
    """A copy that may be edited, its pipeline taxi_trips set to that month."""
    folder = copy_project(tmp_path_factory.mktemp("project"))
    file = folder / "pipelines" / "taxi_trips" / "metadata.yaml"
    text = file.read_text()
    for name, value in (("month", "2020-04"), ("source", months)):
        assert text.count(f"  {name}: ''\n") == 1
        text = text.replace(f"  {name}: ''\n", f"  {name}: {value}\n")
    file.write_text(text)
    return folder


@pytest.fixture(scope="module")
def mage(project: Path, environment: dict[str, str]) -> Iterator[Mage]:
    with running(project, environment_of(project, environment)) as started:
        yield started


@pytest.fixture(scope="module")
def page(mage: Mage) -> Iterator[object]:
    """A page of a browser, logged in."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("there is no browser: install chromium (apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport={"width": 1500, "height": 1000})
        page.set_default_timeout(60_000)
        refused: list[str] = []  # but for links that are scripts, which a test opens

        def note_refused(message: ConsoleMessage) -> None:
            if "script violates" in message.text:
                refused.append(message.text)

        page.on("console", note_refused)
        restarted = page.get_by_text("The kernel has restarted")  # Mage says so too when it was slow to start
        page.add_locator_handler(restarted, lambda: page.get_by_role("button", name="Close").click())
        page.goto(f"{mage.url}/sign-in")
        page.get_by_placeholder("Email").fill(LOGIN["DEFAULT_OWNER_EMAIL"])
        page.get_by_placeholder("Password").fill(LOGIN["DEFAULT_OWNER_PASSWORD"])
        page.get_by_role("button", name="Sign into Mage").click()
        page.wait_for_url(f"{mage.url}/")
        yield page
        ARTEFACTS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=ARTEFACTS / "last.png")  # what stood there when a test failed
        browser.close()
        assert not refused, "Mage's own pages need what the policy of launchers.mage.server_guard forbids"
