"""A wrong or cut file does not replace a good month: it is refused everywhere, unless it is accepted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from nyc_taxi.cli import main
from nyc_taxi.errors import DestinationUnreachable, Implausible
from nyc_taxi.load import ledgers
from nyc_taxi.load.contract import Destination
from nyc_taxi.load.postgres.client import execute, transaction
from nyc_taxi.load.postgres.config import PostgresConfig
from nyc_taxi.load.registry import open_destination
from nyc_taxi.local import samples
from nyc_taxi.model.ledger import LedgerEntry
from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.references import CleanMonth, MonthFiles
from nyc_taxi.model.run import Run, RunContext
from nyc_taxi.pipelines import plausibility
from nyc_taxi.pipelines.trips.download import download
from nyc_taxi.pipelines.trips.refine import refine
from nyc_taxi.settings import Settings, load_settings
from tests.support.builders import RULES
from tests.support.clouds import gcs_cloud
from tests.support.runs import run_month
from tests.support.transforms import write_transform

GREEN = Service.GREEN
MAY = Month(2021, 5)


@pytest.fixture(autouse=True)
def destinations(workspace: Path, postgres: PostgresConfig) -> tuple[str, ...]:
    """Two destinations of the test's own."""
    return ("postgres", "duckdb")


def file_of(tmp_path: Path, month: Month, rows: int, seed: int = 1) -> str:
    """A file that looks like TLC's; to the pipeline it is a real one."""
    path = tmp_path / f"{month}-{rows}-{seed}.csv"
    samples.write(GREEN, month, path, rows, seed)
    return str(path)


def load(source: str, month: Month = MAY, to: str = "postgres,duckdb", **options: Any) -> None:
    run_month(GREEN, month, source, to.split(","), accept=options.get("accept", False))


def entry_of(name: str, month: Month = MAY) -> LedgerEntry | None:
    return open_destination(name, load_settings()).ledger_entry(GREEN, month)


def versions(month: Month = MAY) -> list[str | None]:
    entries = [entry_of(name, month) for name in ("postgres", "duckdb")]
    return [entry.version if entry else None for entry in entries]


def test_a_file_of_another_month_is_refused(tmp_path: Path) -> None:
    load(file_of(tmp_path, MAY, 400))
    before = versions()
    with pytest.raises(
        Implausible, match=r"would be quarantined \(outside_month .*looks like green 2021-04\."
    ):
        load(file_of(tmp_path, Month(2021, 4), 400))
    assert versions() == before
    assert None not in before


def test_a_version_of_the_lake_is_refused_without_its_files(tmp_path: Path) -> None:
    settings = load_settings()
    source = download(GREEN, MAY, file_of(tmp_path, Month(2021, 4), 400), settings)
    files = MonthFiles.from_dict(refine(source, settings).to_dict())
    context = RunContext(settings, Run.new("cli"))
    with pytest.raises(Implausible, match=r"would be quarantined \(outside_month "):
        plausibility.review(files, ["postgres"], context, accept=False)


def test_a_month_is_reviewed_before_its_version_is_published(tmp_path: Path) -> None:
    settings = load_settings()
    source = download(GREEN, MAY, file_of(tmp_path, Month(2021, 4), 400), settings)
    context = RunContext(settings, Run.new("cli"))

    def review(month: CleanMonth) -> None:
        plausibility.review(month, ["postgres"], context, accept=False)

    for _ in range(2):
        with pytest.raises(Implausible, match=r"looks like green 2021-04\."):
            refine(source, settings, review)


def test_far_fewer_trips_are_refused_even_where_the_month_is_new(tmp_path: Path) -> None:
    load(file_of(tmp_path, MAY, 400), to="postgres")
    before = versions()
    with pytest.raises(Implausible, match=r"trips are less than 50% of the \d+ that postgres holds\."):
        load(file_of(tmp_path, MAY, 150))
    assert versions() == before == [before[0], None]


def test_somewhat_fewer_trips_are_loaded(tmp_path: Path) -> None:
    load(file_of(tmp_path, MAY, 400))
    before = versions()
    load(file_of(tmp_path, MAY, 300))
    assert before[0] not in versions()


def test_the_months_around_are_the_measure_of_a_new_month(tmp_path: Path) -> None:
    for month, rows in ((Month(2021, 2), 300), (Month(2021, 4), 400), (Month(2021, 8), 500)):
        load(file_of(tmp_path, month, rows), month)
    load(file_of(tmp_path, Month(2021, 9), 5), Month(2022, 9), accept=True)  # too far away to be looked at
    with pytest.raises(
        Implausible, match=r"of the usual \d+ \(the median of 2021-02, 2021-04, 2021-08 in postgres\)\."
    ):
        load(file_of(tmp_path, MAY, 150))
    load(file_of(tmp_path, MAY, 250))
    assert None not in versions()


@pytest.mark.parametrize("month", [Month(2020, 4), Month(2013, 8)], ids=["pandemic", "first"])
def test_months_that_really_are_small_are_loaded(tmp_path: Path, month: Month) -> None:
    load(file_of(tmp_path, month + 1, 400), month + 1)
    load(file_of(tmp_path, month, 50), month)
    assert None not in versions(month)


def test_an_accepted_month_is_loaded_and_the_ledger_says_why(tmp_path: Path) -> None:
    load(file_of(tmp_path, MAY, 400))
    load(file_of(tmp_path, MAY, 150), accept=True)
    for name in ("postgres", "duckdb"):
        entry = entry_of(name)
        assert entry is not None
        assert entry.accepted is not None
        assert "trips are less than 50% of the" in entry.accepted


def test_an_accepted_month_is_not_refused_when_it_is_run_again(tmp_path: Path) -> None:
    load(file_of(tmp_path, MAY, 400))
    small = file_of(tmp_path, MAY, 150)
    load(small, accept=True)
    before = versions()
    load(small)
    assert versions() == before


def test_a_plausible_month_needs_no_acceptance(tmp_path: Path) -> None:
    load(file_of(tmp_path, MAY, 400), accept=True)
    entry = entry_of("postgres")
    assert entry is not None
    assert entry.accepted is None


def test_what_was_accepted_is_still_known_after_a_repair(tmp_path: Path, postgres: PostgresConfig) -> None:
    load(file_of(tmp_path, MAY, 400))
    small = file_of(tmp_path, MAY, 150)
    load(small, accept=True)
    before = entry_of("postgres")
    with transaction(postgres) as connection:
        execute(connection, "DELETE FROM trips_green")
    load(small)
    after = entry_of("postgres")
    assert before is not None
    assert after is not None
    assert (after.accepted, after.run_id != before.run_id) == (before.accepted, True)


def test_an_accepted_month_that_is_damaged_in_a_bucket_is_repaired_without_accepting_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: None
) -> None:
    source = file_of(tmp_path, Month(2021, 4), 400)
    with gcs_cloud() as cloud:
        for name, value in cloud.environment().items():
            monkeypatch.setenv(name, value)
        load(source, to="gcs", accept=True)
        cloud.remove(f"trips/service=green/month={MAY}/trips.parquet")
        load(source, to="gcs")
        entry = entry_of("gcs")
    assert entry is not None
    assert "would be quarantined" in str(entry.accepted)


def test_a_ledger_that_cannot_be_read_does_not_keep_the_month_from_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSTGRES_PORT", "1")
    monkeypatch.setenv("TAXI_RETRIES", "1")
    with pytest.raises(DestinationUnreachable):
        load(file_of(tmp_path, MAY, 400))
    assert entry_of("duckdb") is not None


def test_a_ledger_that_could_not_be_read_is_looked_at_before_its_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(file_of(tmp_path, MAY, 400), to="postgres")
    before = entry_of("postgres")
    reviewed: list[str] = []

    def open_once_in_vain(name: str, settings: Settings) -> Destination:
        reviewed.append(name)
        if reviewed.count("postgres") == 1 and name == "postgres":
            raise DestinationUnreachable("it does not answer.")
        return open_destination(name, settings)

    monkeypatch.setattr(ledgers, "open_destination", open_once_in_vain)
    with pytest.raises(Implausible, match="that postgres holds"):
        load(file_of(tmp_path, MAY, 150))
    assert entry_of("postgres") == before
    assert reviewed.count("postgres") >= 2


def test_generated_months_are_exempt() -> None:
    load("sample:400")
    load("sample:40")
    entry = entry_of("postgres")
    assert entry is not None
    assert entry.rows_in == 40


def test_rules_that_quarantine_most_rows_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = file_of(tmp_path, MAY, 400)
    load(source)
    before = versions()
    rules = yaml.safe_load(RULES.read_text(encoding="utf-8"))
    rules["rules"].append(
        {"name": "long", "action": "quarantine", "when": "trip_distance >= 0", "why": "A mistake."}
    )
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rules), encoding="utf-8")
    monkeypatch.setenv("TAXI_RULES", str(tmp_path / "rules.yaml"))
    with pytest.raises(Implausible, match=r"would be quarantined \(long "):
        load(source)
    assert versions() == before


def test_a_transform_may_drop_a_third_of_the_trips_but_not_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, path = file_of(tmp_path, MAY, 400), tmp_path / "derive_trips.py"
    load(source)
    monkeypatch.setenv(
        "TAXI_TRANSFORM", str(write_transform(path, "return trips[trips['source_row'] % 3 > 0]"))
    )
    load(source)
    entry = entry_of("postgres")
    assert entry is not None
    assert entry.rows_quarantined > 130
    before = versions()
    write_transform(path, "return trips[:5]")
    with pytest.raises(Implausible, match="trips are less than 50% of the"):
        load(source)
    assert versions() == before


def test_the_thresholds_are_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load(file_of(tmp_path, MAY, 400))
    monkeypatch.setenv("TAXI_MIN_TRIPS", "0.1")
    load(file_of(tmp_path, MAY, 150))
    monkeypatch.setenv("TAXI_MAX_QUARANTINED", "1")
    monkeypatch.setenv("TAXI_MIN_TRIPS", "0")
    load(file_of(tmp_path, Month(2021, 4), 400))
    assert [entry and entry.rows_in for entry in map(entry_of, ("postgres", "duckdb"))] == [400, 400]


def test_the_command_ends_with_1_and_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = file_of(tmp_path, Month(2021, 4), 400)
    arguments = ["taxi", "run", "green", str(MAY), "--source", wrong, "--to", "duckdb"]
    monkeypatch.setattr("sys.argv", arguments)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    assert "Nothing was loaded. If the file is right, load it once with --accept" in capsys.readouterr().err
    monkeypatch.setattr("sys.argv", [*arguments, "--accept"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code in (0, None)
    assert entry_of("duckdb") is not None


def test_a_ledger_of_the_first_release_gets_the_new_columns(
    tmp_path: Path, workspace: Path, postgres: PostgresConfig
) -> None:
    load(file_of(tmp_path, MAY, 400))
    old_view = (
        "CREATE VIEW {}ledger_current AS SELECT DISTINCT ON (service, month) * FROM {}ledger"
        " ORDER BY service, month, id DESC"
    )
    drop = [f"ALTER TABLE {{}}ledger DROP COLUMN {name}" for name in ("rules", "accepted")]
    statements = ["DROP VIEW {}ledger_current", *drop]
    with transaction(postgres) as connection:
        for statement in (*statements, old_view):
            execute(connection, statement.format("", ""))
    file = open_destination("duckdb", load_settings()).file  # type: ignore[attr-defined]
    with duckdb.connect(str(file)) as database:
        for statement in (*statements, old_view):
            database.execute(statement.format("taxi.", "taxi."))
    entries = [entry_of(name) for name in ("postgres", "duckdb")]
    assert [entry and (entry.rows_in, entry.rules, entry.accepted) for entry in entries] == [
        (400, None, None)
    ] * 2
    load(file_of(tmp_path, MAY, 390))
    entries = [entry_of(name) for name in ("postgres", "duckdb")]
    assert all(entry and entry.rules for entry in entries)
