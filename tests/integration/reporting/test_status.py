"""What `taxi status` finds amiss and `taxi metrics` counts, on real destinations."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nyc_taxi.cli import main
from nyc_taxi.load.postgres.config import PostgresConfig
from nyc_taxi.local import samples
from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.run import Run
from nyc_taxi.reporting.current_months import current_files
from nyc_taxi.reporting.metrics import gauges
from nyc_taxi.reporting.status import as_plain, by_destination, collect
from nyc_taxi.settings import load_settings
from tests.support.builders import RULES
from tests.support.runs import run_month

RUN = Run("test", "cli")
BOTH = ["postgres", "duckdb"]


@pytest.fixture
def source(
    tmp_path: Path, workspace: Path, postgres: PostgresConfig, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A folder with three small months, and two empty destinations."""
    monkeypatch.setenv("DUCKDB_DATABASE", str(tmp_path / "status.duckdb"))
    folder = tmp_path / "source"
    folder.mkdir()
    for month in ("2020-03", "2020-04", "2020-05"):
        samples.write(Service.GREEN, Month.parse(month), path(folder, month), rows=300)
    return folder


def path(folder: Path, month: str) -> Path:
    return folder / f"green_tripdata_{month}.csv.gz"


def load(folder: Path, month: str, destinations: list[str] = BOTH) -> None:
    run_month(Service.GREEN, Month.parse(month), str(folder), destinations, RUN)


def marks(source: Path | None = None) -> dict[str, list[str]]:
    return {
        str(row.month): row.marks for row in collect(BOTH, load_settings(), str(source) if source else None)
    }


STATUS = """
import atexit, sys
atexit.register(lambda: print("imported:", sorted({"numpy", "pandas", "pyarrow"} & sys.modules.keys())))
sys.argv = ["taxi", "status"]
from nyc_taxi.cli import main
main()
"""


def test_reading_ledgers_imports_no_arrow(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Arrow takes 0.15 s to import, a fifth of the command."""
    load(source, "2020-03")
    monkeypatch.setenv("TAXI_DESTINATIONS", ",".join(BOTH))
    done = subprocess.run([sys.executable, "-c", STATUS], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "2020-03" in done.stdout
    assert done.stdout.endswith("imported: []\n")


def test_what_is_amiss_is_marked(source: Path) -> None:
    load(source, "2020-03")
    assert marks(source) == {
        "2020-03": [],
        "2020-04": ["missing: published but not loaded"],
        "2020-05": ["missing: published but not loaded"],
    }
    load(source, "2020-04", ["postgres"])
    assert marks() == {"2020-03": [], "2020-04": ["not in duckdb"]}
    load(source, "2020-04")
    changed = path(source, "2020-04")
    samples.write(Service.GREEN, Month.parse("2020-04"), changed, rows=310)
    later = changed.stat().st_mtime + 3600
    os.utime(changed, (later, later))
    assert marks(source)["2020-04"] == ["stale: the source has a newer version"]
    load(source, "2020-04", ["postgres"])
    assert marks()["2020-04"] == ["versions differ"]
    load(source, "2020-04")
    assert marks() == {"2020-03": [], "2020-04": []}


def test_a_month_cleaned_by_other_rules_is_marked(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(source, "2020-04")
    text = RULES.read_text(encoding="utf-8")
    (tmp_path / "rules.yaml").write_text(text.replace("> 300", "> 200"), encoding="utf-8")
    monkeypatch.setenv("TAXI_RULES", str(tmp_path / "rules.yaml"))
    assert marks() == {"2020-04": ["loaded with other rules or another transform: run it again"]}
    for month in ("2020-03", "2020-05"):
        path(source, month).unlink()
    catch_up = ["taxi", "catch-up", "--services", "green", "--since", "2020-03", "--source", str(source)]
    monkeypatch.setattr("sys.argv", [*catch_up, "--to", ",".join(BOTH)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    assert marks() == {"2020-04": []}


def test_what_was_done_on_purpose_is_noted_and_no_problem(
    source: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def taxi(*arguments: str) -> int:
        monkeypatch.setattr("sys.argv", ["taxi", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0)

    def notes() -> dict[str, list[str]]:
        return {str(each.month): each.notes for each in collect(BOTH, load_settings())}

    monkeypatch.setenv("TAXI_DESTINATIONS", ",".join(BOTH))
    assert taxi("run", "green", "2020-03", "--source", str(source), "--to", "duckdb") == 0
    assert notes() == {"2020-03": ["not in postgres: loaded into duckdb only"]}
    load(source, "2020-04")
    load(source, "2020-05")
    assert taxi("delete", "green", "2020-04", "--from", "postgres") == 0
    assert taxi("delete", "green", "2020-05", "--from", "postgres,duckdb") == 0
    assert notes()["2020-04"] == ["deleted from postgres"]
    assert notes()["2020-05"] == ["deleted from postgres", "deleted from duckdb"]
    rows = {
        (row["month"], row["destination"]): row["status"]
        for row in by_destination(collect(BOTH, load_settings()))
    }
    assert rows["2020-05", ""] == "deleted from postgres; deleted from duckdb"
    assert rows["2020-04", "duckdb"] == "current"
    assert taxi("status", "--check", "--source", str(source)) == 0
    capsys.readouterr()
    assert taxi("history", "green", "2020-04") == 0
    shown = capsys.readouterr().out
    assert [shown.count(f" {action} ") for action in ("load", "delete")] == [2, 1]

    capsys.readouterr()
    catch_up = ("catch-up", "--services", "green", "--since", "2020-03", "--source", str(source))
    assert taxi(*catch_up, "--dry-run") == 0
    shown = capsys.readouterr().out
    assert "green 2020-03 is pending: postgres does not hold it" in shown
    assert "2020-04" not in shown
    assert "2020-05" not in shown
    assert taxi("run", "green", "2020-04", "--source", str(source)) == 0
    assert notes()["2020-04"] == []


@pytest.mark.parametrize(("loaded", "code"), [(("2020-03", "2020-04", "2020-05"), 0), (("2020-03",), 1)])
def test_a_check_ends_with_1_while_months_are_missing(
    source: Path, monkeypatch: pytest.MonkeyPatch, loaded: tuple[str, ...], code: int
) -> None:
    for month in loaded:
        load(source, month)
    monkeypatch.setenv("TAXI_DESTINATIONS", ",".join(BOTH))
    monkeypatch.setattr("sys.argv", ["taxi", "status", "--check", "--source", str(source)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert (ended.value.code or 0) == code


@pytest.mark.parametrize(
    ("arguments", "setting", "shown", "cause"),
    [
        (
            ["--check"],
            ("TAXI_SOURCE", "http://127.0.0.1:9/tlc"),
            "postgres, duckdb",
            "127.0.0.1 cannot be reached",
        ),
        ([], ("POSTGRES_PORT", "9"), " duckdb ", "Postgres at"),
    ],
    ids=["source", "destination"],
)
def test_what_does_not_answer_is_named_below_what_the_others_hold(
    source: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    setting: tuple[str, str],
    shown: str,
    cause: str,
) -> None:
    load(source, "2020-04")
    monkeypatch.setenv("TAXI_DESTINATIONS", ",".join(BOTH))
    monkeypatch.setenv("TAXI_RETRIES", "1")
    monkeypatch.setenv(*setting)
    monkeypatch.setattr("sys.argv", ["taxi", "status", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    output = capsys.readouterr()
    assert ended.value.code == 1
    assert "2020-04" in output.out
    assert shown in output.out
    assert "not in" not in output.out  # nothing is known of it
    (line,) = output.err.strip().splitlines()
    assert line.startswith("taxi: this is not the whole status: ")
    assert cause in line


def test_json_names_version_and_rows_of_each_destination(source: Path) -> None:
    load(source, "2020-03")
    (month,) = as_plain(collect(BOTH, load_settings()))
    assert (month["service"], month["month"], month["marks"]) == ("green", "2020-03", [])
    assert list(month["destinations"]) == BOTH
    one, other = month["destinations"].values()
    assert one["rows_in"] == one["rows_loaded"] + one["rows_quarantined"] == 300
    assert one["version"] == other["version"]
    assert one["source_sha256"] == other["source_sha256"]


def test_metrics_count_the_rules_of_the_month_that_is_newest_anywhere(source: Path) -> None:
    may = path(source, "2020-05")
    trip = gzip.decompress(may.read_bytes()).splitlines(keepends=True)[-1]
    may.write_bytes(may.read_bytes() + gzip.compress(trip))  # one duplicate more than in April
    load(source, "2020-05", ["postgres"])
    load(source, "2020-04", ["duckdb"])
    rules = {
        gauge.labels["rule"]: gauge.value
        for gauge in gauges(BOTH, load_settings())
        if gauge.name == "taxi_newest_month_quarantined_rows"
    }
    assert rules == current_files(Service.GREEN, Month(2020, 5), load_settings()).quarantined
