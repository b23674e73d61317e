"""`taxi verify` compares destinations with their ledgers, and `taxi run` mends what is damaged."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from nyc_taxi.cli import main
from nyc_taxi.load.postgres.client import execute, transaction
from nyc_taxi.load.postgres.config import PostgresConfig
from nyc_taxi.load.registry import open_destination
from nyc_taxi.model.months import Month, Service
from nyc_taxi.reporting.verification import verify_months
from nyc_taxi.settings import load_settings
from tests.support.runs import run_month

APRIL, MAY = Month(2020, 4), Month(2020, 5)
BOTH = ["postgres", "duckdb"]


@pytest.fixture(autouse=True)
def _loaded(workspace: Path, postgres: PostgresConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two months in two destinations."""
    monkeypatch.setenv("TAXI_DESTINATIONS", ",".join(BOTH))
    for month in (APRIL, MAY):
        run_month(Service.GREEN, month, "sample:200", BOTH)


def damaged() -> list[str]:
    return [str(each) for each in verify_months(BOTH, load_settings()) if each.damage]


def taxi(*arguments: str, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr("sys.argv", ["taxi", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE trips_green_2020_04",
        "TRUNCATE trips_green_2020_04",
        "DELETE FROM trips_green WHERE month = '2020-04-01' AND source_row = 7",
    ],
)
def test_lost_rows_are_found_and_loaded_again(
    postgres: PostgresConfig,
    statement: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert taxi("verify", monkeypatch=monkeypatch) == 0
    assert "10 verified, 0 damaged" in capsys.readouterr().out
    with transaction(postgres) as connection:
        execute(connection, statement)
    assert taxi("verify", monkeypatch=monkeypatch) == 1
    shown = capsys.readouterr().out
    assert "green 2020-04: postgres holds" in shown
    assert "10 verified, 1 damaged" in shown
    assert taxi("verify", "green", "2020-05", monkeypatch=monkeypatch) == 0
    assert taxi("verify", "--to", "duckdb", monkeypatch=monkeypatch) == 0
    with caplog.at_level(logging.WARNING, "nyc_taxi"):
        outcome = run_month(Service.GREEN, APRIL, "sample:200", BOTH)
    assert [(each.destination, each.skipped) for each in outcome.loaded] == [
        ("postgres", False),
        ("duckdb", True),
    ]
    assert "postgres holds" in caplog.text
    assert damaged() == []


def test_a_month_is_loaded_again_by_force_and_its_history_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def entries() -> list[object]:
        return [open_destination(name, load_settings()).ledger_entry(Service.GREEN, APRIL) for name in BOTH]

    before = entries()
    run = ("run", "green", "2020-04", "--source", "sample:200")
    assert taxi(*run, monkeypatch=monkeypatch) == 0
    assert entries() == before
    assert taxi(*run, "--force", monkeypatch=monkeypatch) == 0
    assert not set(map(str, entries())) & set(map(str, before))
    capsys.readouterr()
    assert taxi("history", "green", "2020-04", monkeypatch=monkeypatch) == 0
    shown = capsys.readouterr().out
    assert [shown.count(f" {name} ") for name in BOTH] == [2, 2]
    assert damaged() == []


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def overwrite(path: Path) -> None:
    """Other bytes, as many as before."""
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 40] = bytes(40)
    path.write_bytes(bytes(data))


def scribble(path: Path) -> None:
    path.write_text('{"service":')


@pytest.mark.parametrize("force", [(), ("--force",)], ids=["run", "force"])
@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("trips.parquet", cut),
        ("trips.parquet", overwrite),
        ("quarantine.parquet", Path.unlink),
        ("manifest.json", scribble),
    ],
)
def test_a_damaged_file_of_the_workspace_is_found_and_made_anew(
    workspace: Path,
    name: str,
    damage: Callable[[Path], None],
    force: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (path,) = (workspace / "lake").glob(f"versions/service=green/month=2020-04/*/{name}")
    good = path.read_bytes()
    damage(path)
    assert taxi("verify", monkeypatch=monkeypatch) == 1
    shown = capsys.readouterr().out
    assert "green 2020-04: lake lacks versions/" in shown or "green 2020-04: workspace lacks files" in shown
    assert taxi("preview", "green", "2020-04", monkeypatch=monkeypatch) in (0, 1)
    assert taxi("run", "green", "2020-04", "--source", "sample:200", *force, monkeypatch=monkeypatch) == 0
    assert path.read_bytes() == good
    assert taxi("verify", monkeypatch=monkeypatch) == 0
    assert taxi("preview", "green", "2020-04", monkeypatch=monkeypatch) == 0


def test_a_damaged_raw_file_is_found(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (raw,) = [
        path
        for path in (workspace / "lake").glob("raw/service=green/month=2020-04/*/*")
        if path.suffix == ".csv" or path.suffix == ".gz"
    ]
    overwrite(raw)
    assert taxi("verify", "green", "2020-04", monkeypatch=monkeypatch) == 1
    assert "green 2020-04: lake lacks raw/service=green/month=2020-04/" in capsys.readouterr().out
