"""`taxi prune` removes what nobody needs, and nothing that a destination or a reader uses."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from nyc_taxi.cli import main
from nyc_taxi.lake.current import current_months
from nyc_taxi.lake.lake import Lake
from nyc_taxi.local import samples
from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.run import Run
from nyc_taxi.pipelines.deletion import delete_month
from nyc_taxi.reporting.verification import verify_lake, verify_months, verify_workspace
from nyc_taxi.settings import load_settings
from tests.support.clouds import Cloud, gcs_cloud
from tests.support.runs import run_month

GREEN, APRIL, MAY = Service.GREEN, Month(2020, 4), Month(2020, 5)


@pytest.fixture(autouse=True)
def _duckdb(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAXI_DESTINATIONS", "duckdb")


def file_of(folder: Path, rows: int) -> str:
    path = folder / f"{rows}.csv"
    samples.write(GREEN, APRIL, path, rows, 1)
    return str(path)


def prune(monkeypatch: pytest.MonkeyPatch, *options: str) -> None:
    monkeypatch.setattr("sys.argv", ["taxi", "prune", *options])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code


def versions() -> dict[str, int]:
    """Rows of the versions of April in the lake, by version."""
    return {files.version: files.rows_in for files in Lake(load_settings()).versions.held(GREEN, APRIL)}


def damaged() -> list[str]:
    settings = load_settings()
    verified = [*verify_months(["duckdb"], settings), *verify_lake(settings), *verify_workspace(settings)]
    return [str(each) for each in verified if each.damage]


def test_superseded_versions_and_old_scratch_go(
    tmp_path: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_month(GREEN, APRIL, file_of(tmp_path, 300), ["duckdb"])
    run_month(GREEN, APRIL, file_of(tmp_path, 310), ["duckdb"])
    for name, age in (("old", 2 * 86400), ("new", 0)):
        folder = workspace / "scratch" / name
        folder.mkdir(parents=True)
        (folder / "rows.arrow").write_bytes(bytes(100))
        os.utime(folder, (time.time() - age,) * 2)
    assert sorted(versions().values()) == [300, 310]
    prune(monkeypatch)
    assert sorted(versions().values()) == [300, 310], "a reader may still use what was replaced today"
    assert [path.name for path in (workspace / "scratch").iterdir()] == ["new"]
    assert "scratch old: 100 bytes\n1 removed, 100 bytes" in capsys.readouterr().out

    prune(monkeypatch, "--days", "0", "--dry-run")
    shown = capsys.readouterr().out
    assert "superseded version green 2020-04 " in shown
    assert "2 would be removed" in shown
    assert len(versions()) == 2
    prune(monkeypatch, "--days", "0")
    assert list(versions().values()) == [310]
    assert len(Lake(load_settings()).raw.held(GREEN, APRIL)) == 2, "raw files are kept"
    assert damaged() == []
    prune(monkeypatch, "--days", "0")
    assert "0 removed, 0 bytes" in capsys.readouterr().out


def test_generated_months_that_no_destination_holds_go(
    tmp_path: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_month(GREEN, APRIL, "sample:50", ["duckdb"])
    run_month(GREEN, MAY, "sample:50", ["duckdb"])
    run_month(GREEN, APRIL, file_of(tmp_path, 300), ["duckdb"])
    prune(monkeypatch)
    assert len(versions()) == 2
    prune(monkeypatch, "--days", "0")
    lake = Lake(load_settings())
    assert [(raw.month, len(raw.publications)) for raw in lake.raw.held()] == [(APRIL, 1), (MAY, 1)]
    assert list(versions().values()) == [300]
    assert len(lake.versions.held(GREEN, MAY)) == 1, "a destination holds it"
    assert damaged() == []


def test_a_generated_month_in_a_destination_that_is_no_default_stays(
    tmp_path: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAXI_DESTINATIONS", "postgres")  # embedded, and never started
    run_month(GREEN, APRIL, "sample:50", ["duckdb"])
    prune(monkeypatch, "--days", "0")
    assert len(versions()) == 1
    assert not (workspace / "postgres").exists()


def test_scratch_that_another_run_removes_meanwhile_is_skipped(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (workspace / "scratch" / "here").mkdir(parents=True)
    gone = workspace / "scratch" / "gone"
    glob = Path.glob
    monkeypatch.setattr(Path, "glob", lambda path, pattern: [*glob(path, pattern), gone])
    prune(monkeypatch, "--days", "0")
    assert "scratch here: 0 bytes\n1 removed" in capsys.readouterr().out


def test_a_month_deleted_from_every_destination_is_no_longer_current(
    tmp_path: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_month(GREEN, APRIL, file_of(tmp_path, 300), ["duckdb"])
    assert list(current_months(workspace)) == [(GREEN, APRIL)]
    settings = load_settings()
    assert list(delete_month(GREEN, APRIL, [], settings, Run.new("cli"))) == []
    assert list(current_months(workspace)) == [(GREEN, APRIL)], "a destination holds it"
    assert len(list(delete_month(GREEN, APRIL, ["duckdb"], settings, Run.new("cli")))) == 1
    assert list(current_months(workspace)) == []
    assert damaged() == []
    prune(monkeypatch, "--days", "0")
    assert versions() == {}


def test_versions_of_a_bucket_go(tmp_path: Path, quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with gcs_cloud() as cloud:
        for name, value in {**cloud.environment(), "TAXI_LAKE": "gcs"}.items():
            monkeypatch.setenv(name, value)
        for rows in (300, 310):
            run_month(GREEN, APRIL, file_of(tmp_path, rows), ["duckdb"])
        assert len(versions()) == 2
        prune(monkeypatch, "--days", "0")
        assert list(versions().values()) == [310]
        assert _count(cloud, "versions/") == 4
        assert _count(cloud, "raw/") == 4
        assert damaged() == []


def _count(cloud: Cloud, prefix: str) -> int:
    return sum(key.startswith(prefix) for key in cloud.objects())
