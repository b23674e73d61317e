"""What every registered destination promises (`nyc_taxi.load.contract`), tried on each of them.

`tests/support/destinations.py` sets the destinations up and reads them past the code under test. What only
one destination promises, and what its service may do to it, is tested in the other files of this folder.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import re
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nyc_taxi import __version__
from nyc_taxi.errors import DestinationError, SettingsError
from nyc_taxi.load.contract import Lookup, Progress
from nyc_taxi.load.registry import REGISTRY, open_destination
from nyc_taxi.model.ledger import LedgerEntry
from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.references import MonthFiles
from nyc_taxi.model.run import Run
from nyc_taxi.schema import SCHEMA_VERSION, Column, trip_columns
from nyc_taxi.settings import PROJECT, load_settings
from nyc_taxi.transform.refined import RefinedMonth
from tests.support import archive
from tests.support.builders import green_csv, month_files, parquet_month, source_file
from tests.support.destinations import FIXTURES, KEYS, SLOW, Probe, SqlProbe
from tests.support.killed import load_and_kill

GREEN = Service.GREEN
RUN = Run("Run 1: A+B", "cli")
VARIABLES = re.findall(r"env_var\('(\w+)'", (PROJECT / "io_config.yaml").read_text())
"""The settings of all destinations."""

NAMES = [
    pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else [])
    for name in dict.fromkeys([*REGISTRY, "archive"])
]


@pytest.fixture(params=NAMES)
def probe(request: pytest.FixtureRequest, workspace: Path) -> Probe:
    """Each destination, empty."""
    assert request.param in FIXTURES, f"add {request.param} to tests/support/destinations.py"
    probe: Probe = request.getfixturevalue(FIXTURES[request.param])
    return probe


def load(probe: Probe, files: MonthFiles, progress: Progress | None = None, run: Run = RUN) -> LedgerEntry:
    """Load a month as a new process does."""
    return probe.open().replace_month(RefinedMonth.of(files), run, progress)


def never(_done: int, _total: int) -> None:
    raise AssertionError("it was loaded again")


Contents = dict[str, list[dict[str, Any]]]
"""The rows of a month by kind."""


def contents_of(files: MonthFiles) -> Contents:
    """What a destination has to hold of a month."""
    tables = {kind: pq.read_table(files.folder / f"{kind}.parquet").to_pylist() for kind in KEYS}
    return {kind: sorted(rows, key=lambda row: row[KEYS[kind]]) for kind, rows in tables.items()}


def contents(probe: Probe, month: Month, service: Service = GREEN) -> Contents:
    """What a destination holds of a month."""
    return {kind: probe.rows(kind, month, service) for kind in KEYS}


def test_lineage_names_the_table_or_object_of_a_service(probe: Probe) -> None:
    namespace, name = probe.open().dataset(GREEN, Month(2020, 4))
    assert re.fullmatch(r"(postgres|gs|s3)://[\w.:-]+|bigquery|file", namespace)
    assert "green" in name
    assert ("month=2020-04" in name) == namespace.startswith(("gs://", "s3://"))
    assert not name.startswith("/") or namespace == "file"


def assert_holds(probe: Probe, files: MonthFiles) -> LedgerEntry:
    """The destination holds this version of the month, whole, and its ledger says so."""
    assert contents(probe, files.month, files.service) == contents_of(files)
    entry = probe.open().ledger_entry(files.service, files.month)
    assert entry is not None
    assert entry.version == files.version
    return entry


# ---- a load


def test_every_value_is_loaded_and_every_field_recorded(probe: Probe, tmp_path: Path) -> None:
    month = probe.new_month()
    assert probe.open().ledger_entry(GREEN, month) is None
    assert [entry for entry in probe.open().ledger_entries() if entry.month == month] == []
    files = month_files(tmp_path, month=str(month), trips=20, quarantined=3)
    files = dataclasses.replace(files, rules="0123456789ab")
    run = dataclasses.replace(RUN, accepted="20 trips, 900 in the months around it")
    before = dt.datetime.now(dt.UTC)
    counts: list[tuple[int, int]] = []
    entry = load(probe, files, lambda done, total: counts.append((done, total)), run)
    assert assert_holds(probe, files) == entry
    assert [entry for entry in probe.open().ledger_entries() if entry.month == month] == [entry]
    assert probe.open().ledger_entries([(GREEN, month), (GREEN, probe.new_month())]) == [entry]
    assert probe.open().ledger_entries([]) == []
    assert before <= entry.started_at <= entry.finished_at <= dt.datetime.now(dt.UTC)
    assert entry == LedgerEntry(
        service=GREEN,
        month=month,
        version="v1",
        source_url=files.source.url,
        source_etag='"v1"',
        source_sha256=files.source.sha256,
        rows_in=23,
        rows_loaded=20,
        rows_quarantined=3,
        schema_version=SCHEMA_VERSION,
        package_version=__version__,
        started_at=entry.started_at,
        finished_at=entry.finished_at,
        run_id="Run 1: A+B",
        orchestrator="cli",
        rules="0123456789ab",
        accepted="20 trips, 900 in the months around it",
    )
    assert sorted(counts) == counts, "progress never goes back"
    assert counts[0] < counts[-1] == (23, 23)


def test_another_version_replaces_its_month_and_no_other(probe: Probe, tmp_path: Path) -> None:
    month, other = probe.new_month(), probe.new_month()
    first = month_files(tmp_path, "v1", str(month), trips=20)
    second = month_files(tmp_path, "v2", str(month), trips=9, quarantined=0)
    others = [
        month_files(tmp_path, "v1", str(other), trips=7),
        month_files(tmp_path, "v1", str(month), service=Service.FHV, trips=5),
    ]
    for files in (first, *others, second):
        load(probe, files)
    entry = assert_holds(probe, second)
    kept = [assert_holds(probe, files) for files in others]
    entries = [each for each in probe.open().ledger_entries() if each.month in (month, other)]
    assert entries == sorted([entry, *kept], key=lambda each: (each.service, each.month))

    load(probe, first)  # a version comes back
    last = assert_holds(probe, first)
    assert probe.versions(month) == ["v1", "v2", "v1"]
    history = probe.open().history(GREEN, month)
    assert [each.version for each in history] == ["v1", "v2", "v1"]
    assert history[1:] == [entry, last]
    assert probe.open().history(GREEN, probe.new_month()) == []


def test_the_same_version_is_not_loaded_again(probe: Probe, tmp_path: Path) -> None:
    files = month_files(tmp_path, month=str(probe.new_month()))
    first = load(probe, files)
    assert load(probe, files, never, Run("later", "cli")) == first
    assert probe.versions(files.month) == ["v1"]


def test_a_month_without_trips_is_loaded(probe: Probe, tmp_path: Path) -> None:
    month = str(probe.new_month())
    load(probe, month_files(tmp_path, "v1", month))
    empty = month_files(tmp_path, "v2", month, trips=0, quarantined=1)
    load(probe, empty)
    assert assert_holds(probe, empty).rows_loaded == 0


# ---- what is refused


@pytest.mark.parametrize(
    "change",
    [
        {"trips": 21, "rows_in": 24},
        {"quarantined": {"reversed": 2}, "rows_in": 22},
        {"trips": 3, "quarantined": {"reversed": 20}},
        {"rows_in": 25},
    ],
    ids=["trips", "quarantine", "swapped", "sum"],
)
def test_a_month_whose_counts_do_not_add_up_is_refused(
    probe: Probe, tmp_path: Path, change: dict[str, Any]
) -> None:
    month = str(probe.new_month())
    loaded = month_files(tmp_path, "v1", month, trips=2)
    load(probe, loaded)
    wrong = dataclasses.replace(month_files(tmp_path, "v2", month), **change)
    with pytest.raises(DestinationError, match=r"20 trips and 3 quarantined rows .*run the month again"):
        load(probe, wrong)
    assert_holds(probe, loaded)
    assert probe.versions(loaded.month) == ["v1"]


def test_a_file_that_is_not_whole_is_refused(probe: Probe, tmp_path: Path) -> None:
    month = str(probe.new_month())
    loaded, broken = month_files(tmp_path, "v1", month), month_files(tmp_path, "v2", month)
    load(probe, loaded)
    broken.quarantine_path.write_bytes(broken.quarantine_path.read_bytes()[:-1])
    with pytest.raises(DestinationError, match=r"quarantine\.parquet: cannot be read .* run the month again"):
        load(probe, broken)
    assert_holds(probe, loaded)


def test_a_sample_is_not_loaded_over_a_real_month(probe: Probe, tmp_path: Path) -> None:
    month = str(probe.new_month())
    real, sample = month_files(tmp_path, "real", month), month_files(tmp_path, "sample", month)
    sample = dataclasses.replace(sample, source=dataclasses.replace(sample.source, url="sample:20:1"))
    load(probe, real)
    with pytest.raises(DestinationError, match=f"holds the real green {month}"):
        load(probe, sample)
    assert_holds(probe, real)


# ---- others at the same time


@pytest.mark.parametrize("versions", [("v1", "v1"), ("v1", "v2")], ids=["same version", "two versions"])
def test_of_two_loads_at_once_one_version_remains(
    probe: Probe, tmp_path: Path, versions: tuple[str, str]
) -> None:
    """The second load begins while the first one is under way."""
    month = str(probe.new_month())
    first = month_files(tmp_path, versions[0], month, trips=5)
    second = first if versions[1] == versions[0] else month_files(tmp_path, versions[1], month, trips=8)
    is_loading, has_begun = threading.Event(), threading.Event()

    def progress(_done: int, _total: int) -> None:
        is_loading.set()
        assert has_begun.wait(60)

    def overtake() -> LedgerEntry:
        assert is_loading.wait(60)
        has_begun.set()
        return load(probe, second, run=Run("other", "cli"))

    with ThreadPoolExecutor(2) as pool:
        loads = [pool.submit(load, probe, first, progress), pool.submit(overtake)]
        entries = [each.result() for each in loads]
    current = probe.open().ledger_entry(GREEN, first.month)
    assert current in entries
    assert_holds(probe, first if current == entries[0] else second)
    assert sorted(probe.versions(first.month)) == sorted(set(versions))


def test_readers_see_one_whole_version(probe: Probe, tmp_path: Path) -> None:
    """One reads whenever the load reports progress, one all the time; an open DuckDB file admits neither."""
    month = probe.new_month()
    names = ("v1", "v2", "v3")
    versions = [month_files(tmp_path, name, str(month), trips=5 + i) for i, name in enumerate(names)]
    load(probe, versions[0])
    seen: list[list[dict[str, Any]]] = []
    is_loaded = threading.Event()

    def look(*_: int) -> None:
        seen.append(probe.rows("trips", month))

    def watch() -> None:
        look()
        while not is_loaded.is_set():
            look()

    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(watch) if probe.admits_readers else None
        try:
            for files in versions[1:]:
                load(probe, files, look if probe.admits_readers else None)
                look()
        finally:
            is_loaded.set()
        if watching:
            watching.result()
    whole = [contents_of(files)["trips"] for files in versions]
    assert all(rows in whole for rows in seen)
    assert seen[-1] == whole[-1] or watching


# ---- kill -9


def test_a_killed_load_leaves_a_whole_month_and_the_next_one_completes_it(
    probe: Probe, tmp_path: Path
) -> None:
    for kill_point in probe.kill_points:
        month = str(probe.new_month())
        old = month_files(tmp_path, "v1", month, trips=2)
        new = month_files(tmp_path, "v2", month, trips=9_000)
        load(probe, old)
        load_and_kill(probe.name, new, kill_point)
        entry = probe.open().ledger_entry(GREEN, old.month)
        if entry is not None:
            assert_holds(probe, old if entry.version == "v1" else new)
        else:
            assert not probe.is_transactional, kill_point
            trips = probe.rows("trips", old.month)
            assert trips in (contents_of(old)["trips"], contents_of(new)["trips"])
        load(probe, new)
        assert_holds(probe, new)
        assert probe.versions(old.month) == ["v1", "v2"]


# ---- damage


@pytest.mark.parametrize("kind", ["trips", "quarantine"])
def test_damage_is_found_and_mended(probe: Probe, tmp_path: Path, kind: str) -> None:
    files, other = (month_files(tmp_path, month=str(probe.new_month())) for _ in range(2))
    assert probe.open().find_damage(GREEN, files.month) is None, "nothing is recorded"
    entry = load(probe, files)
    load(probe, other)
    assert probe.open().find_damage(GREEN, files.month, thorough=True) is None
    assert probe.open().find_damage(GREEN, files.month, entry) is None
    probe.damage(kind, files.month)
    assert probe.open().find_damage(GREEN, files.month)
    current = probe.open().ledger_entry(GREEN, files.month)  # None where damage makes a month unrecorded
    assert current is None or probe.open().find_damage(GREEN, files.month, current)
    assert probe.open().find_damage(GREEN, other.month) is None
    assert (GREEN, files.month) in probe.open().recorded_months()

    later = Run("later", "cli")
    mended = probe.open().replace_month(RefinedMonth.of(files), later, damaged=entry)
    assert mended.run_id == "later"
    assert_holds(probe, files)
    assert probe.open().find_damage(GREEN, files.month, thorough=True) is None
    again = probe.open().replace_month(RefinedMonth.of(files), Run("too late", "cli"), damaged=entry)
    assert again == mended, "another run has mended it meanwhile"


# ---- deletions


def test_a_deleted_month_is_gone_and_remains_in_the_history(probe: Probe, tmp_path: Path) -> None:
    files, other = (month_files(tmp_path, month=str(probe.new_month())) for _ in range(2))
    month, destination = files.month, probe.open()
    assert destination.delete_month(GREEN, month, RUN) is None, "nothing is held"
    held = load(probe, files)
    load(probe, other)

    deleted = probe.open().delete_month(GREEN, month, Run("tidy", "cli"))
    assert deleted is not None
    assert (deleted.action, deleted.version, deleted.run_id, deleted.rows_in) == ("delete", "v1", "tidy", 0)
    assert contents(probe, month) == {kind: [] for kind in KEYS}
    assert_holds(probe, other)
    destination = probe.open()
    assert destination.ledger_entry(GREEN, month) is None
    months = [(GREEN, month), (GREEN, other.month)]
    assert [each.month for each in destination.ledger_entries(months)] == [other.month]
    assert deleted in destination.ledger_entries(months, deletions=True)
    assert destination.history(GREEN, month) == [held, deleted]
    assert destination.find_damage(GREEN, month, thorough=True) is None
    assert destination.delete_month(GREEN, month, RUN) is None, "it is deleted already"

    again = load(probe, files, run=Run("again", "cli"))
    assert assert_holds(probe, files) == again
    assert [each.action for each in probe.open().history(GREEN, month)] == ["load", "delete", "load"]
    assert probe.open().ledger_entries(months, deletions=True) == probe.open().ledger_entries(months)


def test_a_sample_may_follow_a_deleted_month(probe: Probe, tmp_path: Path) -> None:
    month = str(probe.new_month())
    real, sample = month_files(tmp_path, "real", month), month_files(tmp_path, "sample", month)
    sample = dataclasses.replace(sample, source=dataclasses.replace(sample.source, url="sample:20:1"))
    load(probe, real)
    probe.open().delete_month(GREEN, real.month, RUN)
    load(probe, sample)
    assert_holds(probe, sample)


def test_tables_of_this_version_need_no_migration(probe: Probe, tmp_path: Path) -> None:
    load(probe, month_files(tmp_path, month=str(probe.new_month())))
    assert probe.open().migrate(dry_run=False) == []


# ---- views


def test_a_view_has_all_rows_of_the_file_in_canonical_columns(probe: Probe, tmp_path: Path) -> None:
    if not isinstance(probe, SqlProbe):
        pytest.skip("it has no views")
    month = probe.new_month()
    backwards = {"lpep_dropoff_datetime": "2020-04-10 07:00:00", "trip_distance": "1e-3"}
    path = green_csv(tmp_path / "green.csv", [{}, backwards, {"fare_amount": "x"}, {}]).path
    path.write_text(path.read_text().replace("2020-04-", f"{month}-"))
    load(probe, parquet_month(source_file(path, month=str(month)), tmp_path))
    view = probe.query(f"SELECT * FROM all_rows_green WHERE month = DATE '{month.first_day}'")
    assert list(view[0]) == ["month", *(column.name for column in trip_columns(GREEN)), "reason", "detail"]
    first, second, third, last = sorted(view, key=lambda row: row["source_row"])
    added = {"month": month.first_day, "reason": None, "detail": None}
    assert [first, last] == [{**row, **added} for row in probe.rows("trips", month)]
    same = {"month", "vendor_id", "pickup_location_id", "store_and_fwd_flag", "fare_amount", "source_version"}
    assert {name: second[name] for name in same} == {name: first[name] for name in same}
    assert second["dropoff_datetime"] == month.start + dt.timedelta(days=9, hours=7)
    assert (second["trip_distance"], second["reason"]) == (0.001, "dropoff_before_pickup")
    assert (third["reason"], third["pickup_datetime"], "x" in third["detail"]) == ("unreadable", None, True)


@pytest.mark.parametrize("text", [r"\u0000", r"\\u0000"], ids=["escape", "backslash"])
def test_a_view_has_rows_whose_text_looks_like_an_escape(probe: Probe, tmp_path: Path, text: str) -> None:
    if not isinstance(probe, SqlProbe):
        pytest.skip("it has no views")
    month = probe.new_month()
    backwards = {"lpep_dropoff_datetime": "2020-04-10 07:00:00", "store_and_fwd_flag": text}
    path = green_csv(tmp_path / "green.csv", [{}, backwards, {}]).path
    path.write_text(path.read_text().replace("2020-04-", f"{month}-"))
    load(probe, parquet_month(source_file(path, month=str(month)), tmp_path))
    view = probe.query(f"SELECT * FROM all_rows_green WHERE month = DATE '{month.first_day}'")
    assert [row["store_and_fwd_flag"] for row in view if row["reason"]] == [text]


# ---- lookups


def test_a_lookup_is_replaced_whole(probe: Probe) -> None:
    columns = (Column("id", "int16", "Number."), Column("name", "string", "Name."))
    name = f"lookup_{uuid.uuid4().hex}"
    assert not probe.open().has_lookup(name)
    for rows in ([(1, "a"), (2, None)], [(2, "b"), (3, "N/A")], [(2, "b")]):
        numbers, names = zip(*rows, strict=True)
        table = pa.table({"id": pa.array(numbers, pa.int16()), "name": pa.array(names, pa.string())})
        probe.open().replace_lookup(Lookup(name, "A lookup.", columns, "id", table))
        assert probe.lookup(name) == rows
        assert probe.open().has_lookup(name)


def test_services_of_later_versions_are_ignored(probe: Probe, tmp_path: Path) -> None:
    """As after a downgrade, or where a colleague's version shares the destination."""
    if not isinstance(probe, SqlProbe):
        pytest.skip("has no table to write the entry into")
    files = month_files(tmp_path, month=str(probe.new_month()))
    load(probe, files)
    probe.execute(
        f"UPDATE {{schema}}ledger SET service = 'hover' WHERE month = DATE '{files.month.first_day}'"
    )
    assert (files.service, files.month) not in probe.open().recorded_months()
    assert files.month not in {entry.month for entry in probe.open().ledger_entries()}


# ---- where it is


def test_no_secret_is_shown(probe: Probe, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = [name for name in VARIABLES if any(word in name for word in ("PASSWORD", "SECRET", "TOKEN"))]
    assert len(secrets) >= 4
    for name in secrets:
        monkeypatch.setenv(name, "s3cr3t")
    destination = probe.open()
    assert destination.name == probe.name
    assert destination.describe()
    assert "s3cr3t" not in destination.describe() + repr(vars(destination))


@pytest.mark.parametrize("name", dict.fromkeys([*REGISTRY, "archive"]))
def test_without_settings_it_is_embedded_or_says_what_to_set(
    name: str, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(REGISTRY, "archive", archive.REGISTRATION)
    for variable in VARIABLES:
        monkeypatch.setenv(variable, "")
    settings = load_settings()
    if REGISTRY[name].is_automatic(settings.connections):
        assert str(workspace) in open_destination(name, settings).describe()
    else:
        with pytest.raises(SettingsError) as raised:
            open_destination(name, settings)
        assert any(variable in str(raised.value) for variable in VARIABLES)
