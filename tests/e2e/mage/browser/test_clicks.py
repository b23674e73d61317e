"""Clicks in Mage's pages that must not break anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.mage.browser.test_pages import keep
from tests.support.mage import Mage

pytestmark = [pytest.mark.mage, pytest.mark.slow]


def statuses(mage: Mage) -> dict[str, str]:
    return {name: trigger["status"] for name, trigger in mage.triggers().items()}


def test_pause_and_play_on_the_page_pipelines(page, mage: Mage, project: Path) -> None:
    metadata = project / "pipelines" / "taxi_trips" / "metadata.yaml"
    content, before = metadata.read_bytes(), statuses(mage)
    assert set(before.values()) == {"active", "inactive"}
    page.goto(f"{mage.url}/pipelines")
    row = page.locator("tr").filter(has=page.get_by_text("taxi_trips", exact=True))
    button = row.locator("button").first
    button.click()
    mage.wait(lambda: set(statuses(mage).values()) == {"inactive"}, 30)
    row.get_by_text("inactive").wait_for()
    keep(page, "paused")
    button.click()
    mage.wait(lambda: statuses(mage) == before, 30)
    assert metadata.read_bytes() == content


def test_the_link_to_the_rules_opens_them(page, mage: Mage) -> None:
    page.goto(f"{mage.url}/pipelines/taxi_trips/edit")
    page.get_by_text("One month of New York taxi trips").wait_for()
    address = page.get_by_role("link", name="rules.yaml").first.get_attribute("href")
    page.goto(f"{mage.url}{address}")
    page.get_by_text("# The rules: conditions that quara").wait_for()
    keep(page, "rules-file")


def test_a_script_in_a_link_does_not_run(page, mage: Mage) -> None:
    page.goto(f"{mage.url}/pipelines")
    page.evaluate("window.location.href = 'javascript:void(window.owned = document.cookie)'")
    page.wait_for_timeout(500)
    assert page.evaluate("window.owned") is None
