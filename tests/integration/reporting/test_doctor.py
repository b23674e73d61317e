"""`taxi doctor`: each part is looked at, and a fault says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from nyc_taxi.reporting.doctor import Check, checkup
from nyc_taxi.settings import PROJECT


@pytest.fixture
def checks(workspace: Path, monkeypatch: pytest.MonkeyPatch):
    """Runs the check-up under other settings; sources and destinations that need no server."""

    def run(**changed: str) -> dict[str, Check]:
        for name, value in {"TAXI_SOURCE": "sample", "TAXI_DESTINATIONS": "duckdb", **changed}.items():
            monkeypatch.setenv(name, value)
        return {check.name: check for check in checkup()}

    monkeypatch.setenv("DUCKDB_DATABASE", str(workspace / "warehouse.duckdb"))
    monkeypatch.setenv("MYSQL_HOST", "")
    return run


def test_all_is_well(checks) -> None:
    results = checks()
    assert list(results) == [
        "settings",
        "connections",
        "rules",
        "transform",
        "workspace",
        "lake",
        "source",
        "duckdb",
        "bike-share",
    ]
    assert all(check.ok for check in results.values()), results
    assert "holds 0 months" in results["duckdb"].detail


@pytest.mark.parametrize(
    ("part", "name", "value", "advice"),
    [
        ("settings", "TAXI_DESTINATIONS", "duckdb,oracle", "one or more of postgres"),
        ("connections", "TAXI_PROFILE", "nowhere", "nowhere"),
        ("rules", "TAXI_RULES", "not_there.yaml", "not_there.yaml"),
        ("workspace", "TAXI_WORKSPACE", "/proc/taxi", "set TAXI_WORKSPACE"),
        ("source", "TAXI_SOURCE", "/no/such/folder", "/no/such/folder"),
        ("duckdb", "DUCKDB_DATABASE", str(PROJECT / "README.md"), "README.md"),
    ],
)
def test_a_fault_is_named_and_the_other_parts_are_looked_at_all_the_same(
    checks, monkeypatch: pytest.MonkeyPatch, part: str, name: str, value: str, advice: str
) -> None:
    monkeypatch.setenv(name, value)
    results = checks(**({name: value} if name.startswith("TAXI_") else {}))
    assert not results[part].ok
    assert advice in results[part].detail
    assert results[part].detail.endswith(".")
    assert list(results)[-1] == "bike-share"


def test_a_workspace_in_which_others_may_replace_files_is_named(checks, workspace: Path) -> None:
    workspace.mkdir(exist_ok=True)
    workspace.chmod(0o777)
    result = checks()["workspace"]
    assert not result.ok
    assert result.detail.startswith(f"others may replace files in {workspace}")
    workspace.chmod(0o1777)  # as in the images
    assert checks()["workspace"].ok


def test_a_setting_that_makes_no_sense_is_said_once(checks) -> None:
    results = checks(TAXI_RETRIES="many")
    assert list(results) == ["settings"]
    assert results["settings"].detail.startswith("TAXI_RETRIES='many' is not valid")
