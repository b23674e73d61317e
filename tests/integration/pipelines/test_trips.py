"""The steps of a month, into a destination that is kept in memory; what is done twice is done once."""

import datetime as dt
import json
import logging
import os
import shutil
import threading
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import pyarrow.parquet as pq
import pytest
import yaml

from nyc_taxi.errors import DestinationError, DestinationUnreachable, NotTripData, SettingsError, TaxiError
from nyc_taxi.extract import transfer
from nyc_taxi.lake import workspace as places
from nyc_taxi.load.contract import Progress
from nyc_taxi.load.registry import REGISTRY
from nyc_taxi.local import samples
from nyc_taxi.model.ledger import LedgerEntry
from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.references import CleanMonth, MonthFiles, Reference, SourceFile
from nyc_taxi.model.request import LoadRequest
from nyc_taxi.model.run import Run, RunContext
from nyc_taxi.pipelines.trips import load as load_step
from nyc_taxi.pipelines.trips.clean import clean
from nyc_taxi.pipelines.trips.download import download
from nyc_taxi.pipelines.trips.refine import stored_month, to_parquet
from nyc_taxi.pipelines.trips.run import Outcome, find_loaded
from nyc_taxi.settings import load_settings
from nyc_taxi.transform.refined import RefinedMonth
from tests.support.builders import RULES, green_csv
from tests.support.runs import load, run_month

GREEN, APRIL = Service.GREEN, Month(2020, 4)
RUN = Run("run-1", "cli")
CLEAN_MONTH = "nyc_taxi.transform.clean.clean_month"
WRITE_MONTH = "nyc_taxi.transform.parquet.write_month"


class Shelf:
    """A destination in memory."""

    def __init__(self, name: str, order: list[str]) -> None:
        self.name = name
        self._order = order
        self.ledger: dict[tuple[Service, Month], LedgerEntry] = {}
        self.loads: list[str] = []
        self.down = False

    def describe(self) -> str:
        return "a shelf in memory"

    def ledger_entry(self, service: Service, month: Month) -> LedgerEntry | None:
        return self.ledger.get((service, month))

    def has_lookup(self, name: str) -> bool:
        return True

    def ledger_entries(
        self, months: Collection[tuple[Service, Month]] | None = None, *, deletions: bool = False
    ) -> list[LedgerEntry]:
        return [entry for key, entry in self.ledger.items() if months is None or key in months]

    def find_damage(
        self, service: Service, month: Month, entry: LedgerEntry | None = None, *, thorough: bool = False
    ) -> str | None:
        return None

    def replace_month(
        self,
        month: RefinedMonth,
        run: Run,
        progress: Progress | None = None,
        damaged: LedgerEntry | None = None,
    ) -> LedgerEntry:
        files = month.files()
        if self.down:
            raise DestinationUnreachable("the shelf does not answer.")
        loaded = len(pq.read_table(files.trips_path))
        if progress:
            progress(loaded, loaded)
        now = dt.datetime(2020, 7, 2, 7)
        entry = LedgerEntry(
            files.service,
            files.month,
            files.version,
            files.source.url,
            files.source.etag,
            files.source.sha256,
            files.rows_in,
            loaded,
            files.rows_quarantined,
            schema_version=1,
            package_version="0",
            started_at=now,
            finished_at=now,
            run_id=run.run_id,
            orchestrator=run.orchestrator,
        )
        self.ledger[files.service, files.month] = entry
        self.loads.append(files.version)
        self._order.append(self.name)
        return entry


@pytest.fixture
def order() -> list[str]:
    """The shelves' names in the order in which loads ended."""
    return []


@pytest.fixture
def shelves(monkeypatch: pytest.MonkeyPatch, workspace: Path, order: list[str]) -> dict[str, Shelf]:
    """A shelf in place of every destination."""
    shelves = {name: Shelf(name, order) for name in REGISTRY}
    for module in ("load.ledgers", "pipelines.plausibility", "pipelines.trips.load", "pipelines.trips.run"):
        monkeypatch.setattr(f"nyc_taxi.{module}.open_destination", lambda name, _settings: shelves[name])
    return shelves


@pytest.fixture
def shelf(shelves: dict[str, Shelf]) -> Shelf:
    """The one that most tests load into."""
    return shelves["postgres"]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder that has green 2020-04."""
    folder = tmp_path / "files"
    folder.mkdir()
    samples.write(GREEN, APRIL, folder / "green_tripdata_2020-04.csv", rows=500, malformed=2)
    return folder


def run_april(source: Path | str, month: Month = APRIL, **options: Any) -> Outcome:
    return run_month(GREEN, month, str(source), ["postgres"], RUN, **options)


def forbid(monkeypatch: pytest.MonkeyPatch, *steps: str) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError

    for step in steps:
        monkeypatch.setattr(step, fail)


def failing(error: Exception) -> Callable[..., NoReturn]:
    """A step that raises."""

    def fail(*_: object, **__: object) -> NoReturn:
        raise error

    return fail


def test_a_month_goes_all_the_way(source: Path, shelf: Shelf, workspace: Path) -> None:
    outcome = run_april(source)
    files = outcome.files
    assert files.rows_in == 500
    assert files.quarantined["unreadable"] == 2
    assert files.folder == (workspace / f"lake/versions/service=green/month=2020-04/version={files.version}")
    assert sorted(path.name for path in files.folder.iterdir()) == [
        "manifest.json",
        "quality.parquet",
        "quarantine.parquet",
        "trips.parquet",
    ]
    assert list((workspace / "scratch").iterdir()) == []
    [loaded] = outcome.loaded
    assert (loaded.destination, loaded.describe, loaded.skipped) == ("postgres", "a shelf in memory", False)
    assert loaded.entry == shelf.ledger_entry(GREEN, APRIL)
    assert loaded.entry.rows_in == loaded.entry.rows_loaded + loaded.entry.rows_quarantined == 500
    assert list(outcome.seconds) == ["download", "clean", "parquet", "postgres"]
    assert loaded.seconds <= outcome.seconds["postgres"]


def test_each_step_tells_its_progress(source: Path, shelf: Shelf) -> None:
    calls: dict[str, list[tuple[int, int | None]]] = {}

    def progress(step: str) -> transfer.Progress:
        return lambda done, total: calls.setdefault(step, []).append((done, total))

    files = run_april(source, progress=progress).files
    assert calls["clean"][-1] == (500, None)
    assert calls["postgres"] == [(files.trips, files.trips)]


def test_a_second_run_does_nothing_and_says_so(
    source: Path, shelf: Shelf, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    first = run_april(source)
    forbid(monkeypatch, CLEAN_MONTH, WRITE_MONTH)
    with caplog.at_level(logging.INFO, "nyc_taxi.pipelines.trips"):
        second = run_april(source)
    assert second.files == first.files
    assert second.loaded[0].skipped
    assert second.loaded[0].entry == first.loaded[0].entry
    assert shelf.loads == [first.files.version]
    version = f"version {first.files.version}."
    assert caplog.messages == [
        f"green 2020-04 is already cleaned: {version}",
        f"green 2020-04 is already Parquet: {version}",
        f"postgres already holds green 2020-04: {version}",
    ]


def loaded_april(source: Path, *, force: bool = False) -> Outcome | None:
    request = LoadRequest(GREEN, APRIL, str(source), ("postgres",), force=force)
    return find_loaded(request, load_settings())


def test_a_month_that_needs_nothing_is_found(
    tmp_path: Path, source: Path, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert loaded_april(source) is None, "it was never loaded"
    first = run_april(source)
    again = loaded_april(source)
    assert again
    assert (again.files, again.loaded[0].entry) == (first.files, first.loaded[0].entry)
    assert again.loaded[0].skipped
    assert loaded_april(source, force=True) is None
    with monkeypatch.context() as patch:
        patch.setattr(shelf, "find_damage", lambda *_, **__: "lacks rows")
        assert loaded_april(source) is None
    with monkeypatch.context() as patch:
        own_rules(tmp_path / "rules.yaml", patch, "outside_month")
        assert loaded_april(source) is None
    samples.write(GREEN, APRIL, source / "green_tripdata_2020-04.csv", rows=600, seed=2)
    assert loaded_april(source) is None


def test_a_month_is_not_found_where_the_lake_is_damaged_and_a_run_repairs_it(
    source: Path, shelf: Shelf
) -> None:
    files = run_april(source).files
    content = files.quarantine_path.read_bytes()
    files.quarantine_path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    assert loaded_april(source) is None
    assert run_april(source).files.quarantine_path.read_bytes() == content
    assert loaded_april(source)


def test_a_republished_month_is_loaded_again(source: Path, shelf: Shelf) -> None:
    first = run_april(source)
    samples.write(GREEN, APRIL, source / "green_tripdata_2020-04.csv", rows=600, seed=2)
    second = run_april(source)
    assert shelf.loads == [first.files.version, second.files.version]
    assert second.loaded[0].entry.rows_in == 600


def own_rules(path: Path, monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Only these of the project's rules."""
    rules = yaml.safe_load(RULES.read_text())["rules"]
    path.write_text(yaml.safe_dump({"rules": [rule for rule in rules if rule["name"] in names]}))
    monkeypatch.setenv("TAXI_RULES", str(path))


def test_other_rules_make_another_version(
    tmp_path: Path, source: Path, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run_april(source)
    own_rules(tmp_path / "rules.yaml", monkeypatch, "outside_month")
    second = run_april(source)
    assert shelf.loads == [first.files.version, second.files.version]
    assert second.files.quarantined.keys() == {"unreadable", "outside_month"}


def test_rules_that_change_between_two_steps_are_noticed(
    tmp_path: Path, source: Path, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    cleaned = clean(download(GREEN, APRIL, str(source), load_settings()), load_settings())
    own_rules(tmp_path / "rules.yaml", monkeypatch, "outside_month")
    message = r"^green 2020-04: .*rules\.yaml or .* has changed since the month was cleaned; clean"
    with pytest.raises(TaxiError, match=message):
        to_parquet(cleaned, load_settings())
    assert to_parquet(clean(cleaned.source, load_settings()), load_settings()).quarantined.keys() == {
        "unreadable",
        "outside_month",
    }


R = TypeVar("R", bound=Reference)


def carried(reference: R) -> R:
    """As an orchestrator carries it from step to step."""
    return type(reference).from_dict(json.loads(json.dumps(reference.to_dict())))


def test_steps_may_run_in_different_processes(source: Path, shelf: Shelf) -> None:
    downloaded = carried(download(GREEN, APRIL, str(source), load_settings()))
    cleaned = carried(clean(downloaded, load_settings()))
    files = carried(to_parquet(cleaned, load_settings()))
    loaded = load_step.load(
        stored_month(files, load_settings()), "postgres", RunContext(load_settings(), RUN)
    )
    assert (type(downloaded), type(cleaned), type(files)) == (SourceFile, CleanMonth, MonthFiles)
    assert loaded.entry.version == cleaned.version == files.version
    assert run_april(source).loaded[0].skipped


def test_any_step_may_be_repeated_after_the_run(source: Path, shelf: Shelf) -> None:
    files = run_april(source).files
    for _ in range(2):
        downloaded = download(GREEN, APRIL, str(source), load_settings())
        assert downloaded == files.source
        cleaned = clean(downloaded, load_settings())
        assert (cleaned.version, cleaned.trips, cleaned.flagged) == (
            files.version,
            files.trips,
            files.flagged,
        )
        assert cleaned.local is None  # its scratch is gone; the Parquet is there
        assert to_parquet(cleaned, load_settings()) == files
        assert load(files, "postgres", RUN).skipped


@pytest.mark.parametrize("content", [None, '{"service": "gre', '{"service": "green"}'])
def test_a_cleaned_month_that_was_not_finished_is_cleaned_again(
    source: Path, shelf: Shelf, content: str | None
) -> None:
    """Killed between the rows and the note on them; or left by another version of the code."""
    downloaded = download(GREEN, APRIL, str(source), load_settings())
    first = clean(downloaded, load_settings())
    if content is None:
        (first.folder / "clean.json").unlink()
    else:
        (first.folder / "clean.json").write_text(content)
    assert clean(downloaded, load_settings()) == first
    assert to_parquet(first, load_settings()).trips == first.trips


def test_a_cleaned_month_that_is_gone_is_cleaned_again(source: Path, shelf: Shelf) -> None:
    cleaned = clean(download(GREEN, APRIL, str(source), load_settings()), load_settings())
    shutil.rmtree(cleaned.folder)
    assert to_parquet(carried(cleaned), load_settings()).trips == cleaned.trips


def test_after_a_failed_load_only_the_load_is_repeated(
    source: Path, shelf: Shelf, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.down = True
    with pytest.raises(DestinationUnreachable):
        run_april(source)
    assert list((workspace / "scratch").iterdir()) == []
    shelf.down = False
    forbid(monkeypatch, CLEAN_MONTH, WRITE_MONTH)
    assert not run_april(source).loaded[0].skipped


def test_a_month_whose_parquet_could_not_be_written_is_not_cleaned_again(
    source: Path, shelf: Shelf, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(WRITE_MONTH, failing(OSError(28, "No space left on device")))
        with pytest.raises(TaxiError, match="No space left"):
            run_april(source)
    [scratch] = (workspace / "scratch").iterdir()
    forbid(monkeypatch, CLEAN_MONTH)
    assert run_april(source).files.rows_in == 500
    assert not scratch.exists()


def test_bigquery_is_loaded_once_the_bucket_is(
    source: Path, shelves: dict[str, Shelf], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = threading.Event()
    events: list[str] = []
    load_bucket, ask_bigquery = shelves["gcs"].replace_month, shelves["bigquery"].ledger_entry

    def slow_bucket(*arguments: Any, **options: Any) -> LedgerEntry:
        begun.wait(0.5)  # BigQuery would begin meanwhile, were it loaded side by side
        entry = load_bucket(*arguments, **options)
        events.append("gcs")
        return entry

    def begin_bigquery(*arguments: Any) -> LedgerEntry | None:
        events.append("bigquery")
        begun.set()
        return ask_bigquery(*arguments)

    monkeypatch.setattr(shelves["gcs"], "replace_month", slow_bucket)
    monkeypatch.setattr(shelves["bigquery"], "ledger_entry", begin_bigquery)
    run_month(GREEN, APRIL, str(source), ["bigquery", "gcs"], RUN)
    assert events == ["gcs", "bigquery"]


def test_destinations_are_loaded_side_by_side(
    source: Path, shelves: dict[str, Shelf], order: list[str]
) -> None:
    names = ["bigquery", "postgres", "gcs"]
    outcome = run_month(GREEN, APRIL, str(source), names, RUN)
    assert [loaded.destination for loaded in outcome.loaded] == names
    assert sorted(order) == sorted(names)
    assert outcome.total >= max(outcome.seconds.values())


def test_when_one_destination_fails_the_others_are_finished(
    source: Path, shelves: dict[str, Shelf], order: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    shelves["postgres"].down = shelves["s3"].down = True
    with pytest.raises(DestinationUnreachable):
        run_month(GREEN, APRIL, str(source), list(REGISTRY), RUN)
    assert caplog.text.count("the shelf does not answer") == 1  # the other error is the one that is raised
    assert sorted(order) == sorted(set(REGISTRY) - {"postgres", "s3"})
    shelves["postgres"].down = shelves["s3"].down = False
    again = run_month(GREEN, APRIL, str(source), list(REGISTRY), RUN)
    assert [loaded.destination for loaded in again.loaded if not loaded.skipped] == ["postgres", "s3"]


def test_a_file_that_is_refused_leaves_the_loaded_month_alone(
    source: Path, shelf: Shelf, workspace: Path
) -> None:
    first = run_april(source)
    path = source / "green_tripdata_2020-04.csv"
    path.write_text(path.read_text().replace("2020-04-", "April "))
    with pytest.raises(NotTripData, match="TAXI_MAX_UNREADABLE"):
        run_april(source)
    assert shelf.ledger_entry(GREEN, APRIL) == first.loaded[0].entry
    assert list((workspace / "scratch").iterdir()) == []


@pytest.mark.parametrize("step", [CLEAN_MONTH, WRITE_MONTH])
def test_a_full_disk_is_told_in_a_sentence(
    source: Path, shelf: Shelf, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    monkeypatch.setattr(step, failing(OSError(28, "No space left on device")))
    with pytest.raises(TaxiError, match=r"No space left on device\); check permissions and free space"):
        run_april(source)
    assert shelf.ledger_entries() == []


def test_a_parquet_that_fails_is_told_once(
    source: Path, shelves: dict[str, Shelf], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(WRITE_MONTH, failing(TaxiError("it does not fit.")))
    with pytest.raises(TaxiError, match="it does not fit"):
        run_month(GREEN, APRIL, str(source), list(REGISTRY), RUN)
    assert "it does not fit" not in caplog.text


def test_a_sample_is_never_loaded_over_a_real_month(source: Path, shelf: Shelf) -> None:
    run_april("sample:300")
    real = run_april(source)  # a real month takes the place of a sample
    assert not real.loaded[0].skipped
    message = r"^postgres holds the real green 2020-04 \(.*\); a generated sample does not replace it\."
    with pytest.raises(DestinationError, match=message):
        run_april("sample:300")
    assert shelf.ledger_entry(GREEN, APRIL) == real.loaded[0].entry
    assert run_april("sample:300", Month(2020, 5)).files.source.is_sample


def test_a_month_before_the_first_is_refused(shelf: Shelf) -> None:
    with pytest.raises(TaxiError, match=r"^green 2013-07: TLC's green files begin with 2013-08\.$"):
        run_april("sample", Month(2013, 7))


def test_a_column_that_the_schema_does_not_know_is_told(
    tmp_path: Path, shelf: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    green_csv(tmp_path / "green_tripdata_2020-04.csv", [{"New Fee": "1"}])
    with caplog.at_level(logging.WARNING, "nyc_taxi.pipelines.trips"):
        run_april(tmp_path)
    assert caplog.messages == [
        "green 2020-04 has a column that the schema does not know: new_fee. It is kept under that name;"
        " add it to nyc_taxi/schema/columns.yaml."
    ]


def test_the_current_month_may_be_loaded(shelf: Shelf) -> None:
    current = Month.of(dt.datetime.now(dt.UTC).date())
    assert download(GREEN, current, "sample:300", load_settings()).month == current


def test_a_month_that_has_not_begun_is_refused(shelf: Shelf) -> None:
    tomorrow = dt.datetime.now(dt.UTC).date() + dt.timedelta(days=1)  # the test may run at midnight
    coming = Month.of(tomorrow) + 1
    with pytest.raises(
        TaxiError, match=f"green {coming}: has not begun; TLC publishes a month two months after"
    ):
        run_april("sample:300", coming)


def test_what_a_destination_lacks_is_said_before_anything_is_fetched(
    shelf: Shelf, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_name: str, _settings: object) -> None:
        raise SettingsError("S3_BUCKET is not set")

    monkeypatch.setattr("nyc_taxi.pipelines.trips.run.open_destination", refuse)
    with pytest.raises(SettingsError):
        run_april("sample:300")
    assert not list(workspace.rglob("*.csv*"))


def test_old_scratch_and_superseded_versions_are_pruned(source: Path, shelf: Shelf, workspace: Path) -> None:
    first = run_april(source).files
    left = workspace / "scratch" / f"yellow-2021-01-{'0' * 12}.part"
    fresh = workspace / "scratch" / f"yellow-2021-02-{'0' * 12}"
    for folder in (left, fresh):
        folder.mkdir()
    day_before = time.time() - places.KEEP_SECONDS - 60
    for folder in (left, first.folder):
        os.utime(folder, (day_before, day_before))
    own = source / "green_tripdata_2020-04.csv"
    own.write_bytes(own.read_bytes() + b"\r\n")
    second = run_april(source).files
    assert second.version != first.version
    assert first.folder.exists()  # superseded only now
    os.utime(first.folder, (day_before, day_before))
    run_april(source)
    assert not first.folder.exists()
    assert not left.exists()
    assert fresh.exists()  # somebody may be using it
    assert second.folder.exists()
