"""Months in any object store: what lies where, and that it survives faults, crashes and other writers."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow.parquet as pq
import pytest

from nyc_taxi.errors import DestinationError, DestinationUnreachable, TaxiError
from nyc_taxi.lake.object_store.store import Content, Stored
from nyc_taxi.load.object_store.layout import month_of
from nyc_taxi.model.ledger import LedgerEntry
from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.references import LakeObject, MonthFiles
from nyc_taxi.model.run import Run
from nyc_taxi.transform.refined import RefinedMonth
from tests.support.builders import month_files
from tests.support.clouds import Cloud, gcs_cloud, s3_cloud
from tests.support.kill_points import checked
from tests.support.killed import load_and_kill
from tests.support.wsgi import Fault, Pause, answers, cut, damage, lose_answer

GREEN = Service.GREEN
APRIL = Month(2020, 4)
RUN = Run("scheduled__2020-06-02T07:00:00+00:00", "airflow")
PARTITION = "service=green/month=2020-04"
QUALITY = f"quality/{PARTITION}/quality.parquet"
QUARANTINE = f"quarantine/{PARTITION}/quarantine.parquet"
TRIPS = f"trips/{PARTITION}/trips.parquet"
MANIFEST = f"manifests/{PARTITION}/manifest.json"
HISTORY = f"ledger/{PARTITION}/"
[PUT] = checked("nyc_taxi.load.object_store.writer:MonthWriter.put:return")
"""An object is in place."""
IN_ORDER = [QUALITY, QUARANTINE, TRIPS, MANIFEST, HISTORY]


@pytest.fixture(params=[gcs_cloud, s3_cloud], ids=["gcs", "s3"])
def cloud(
    request: pytest.FixtureRequest,
    quick: None,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Cloud]:
    """An empty bucket of each kind, which the environment names; tried three times without waiting."""
    with request.param() as bucket:
        for name, value in bucket.environment().items():
            monkeypatch.setenv(name, value)
        yield bucket


def parquet_of(files: MonthFiles) -> dict[str, bytes]:
    """What the month's three objects should be."""
    return {key: (files.folder / Path(key).name).read_bytes() for key in (QUALITY, QUARANTINE, TRIPS)}


def history(cloud: Cloud) -> list[str]:
    """The versions that were loaded, in order."""
    kept = [data for key, (data, _) in cloud.objects().items() if key.startswith(HISTORY)]
    return [json.loads(data)["version"] for data in kept]


def check_holds(cloud: Cloud, files: MonthFiles) -> LedgerEntry:
    """The bucket holds this version of the month and nothing of another; returns its row."""
    objects = cloud.objects()
    for key, data in parquet_of(files).items():
        assert objects[key] == (
            data,
            {"version": files.version, "sha256": hashlib.sha256(data).hexdigest()},
        )
    row = cloud.destination().ledger_entry(GREEN, APRIL)
    assert row is not None
    assert row.version == files.version
    assert cloud.destination().ledger_entries() == [row]
    return row


def test_a_month_is_five_objects_and_its_row(cloud: Cloud, tmp_path: Path) -> None:
    files = month_files(tmp_path)
    row = cloud.destination().replace_month(RefinedMonth.of(files), RUN)
    assert check_holds(cloud, files) == row
    assert (row.rows_in, row.rows_loaded, row.rows_quarantined) == (23, 20, 3)
    assert (row.run_id, row.orchestrator) == (RUN.run_id, "airflow")
    assert (row.source_url, row.source_etag) == (files.source.url, '"v1"')
    assert row.source_sha256 == files.source.sha256
    assert row.started_at < row.finished_at

    objects = cloud.objects()
    *others, kept = sorted(objects, key=lambda key: key.startswith("ledger/"))
    assert sorted(others) == sorted([QUALITY, QUARANTINE, TRIPS, MANIFEST])
    assert re.fullmatch(
        re.escape(HISTORY) + r"\d{8}T\d{12}Z-scheduled__2020-06-02T07_00_00_00_00\.json", kept
    )
    assert objects[kept][0] == objects[MANIFEST][0]
    assert {metadata["version"] for _, metadata in objects.values()} == {"v1"}

    written = [target for method, target, _ in cloud.faulty.requests if method == cloud.write]
    assert [key in target for key, target in zip(IN_ORDER, written, strict=True)] == [True] * 5

    manifest = json.loads(objects[MANIFEST][0])
    assert manifest.pop("objects") == {
        Path(key).stem: {"key": key, "sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
        for key, data in parquet_of(files).items()
    }
    assert manifest.keys() == {field.name for field in dataclasses.fields(LedgerEntry)}


def test_the_same_version_is_not_written_again(cloud: Cloud, tmp_path: Path) -> None:
    files = month_files(tmp_path)
    row = cloud.destination().replace_month(RefinedMonth.of(files), RUN)
    before = cloud.faulty.count(cloud.write)
    assert cloud.destination().replace_month(RefinedMonth.of(files), Run("later", "cli")) == row
    assert cloud.faulty.count(cloud.write) == before


def test_a_prefix_is_a_data_set_of_its_own(cloud: Cloud, tmp_path: Path) -> None:
    one, other = month_files(tmp_path, "v1"), month_files(tmp_path, "v2")
    row = cloud.destination("a/b").replace_month(RefinedMonth.of(one), RUN)
    cloud.destination().replace_month(RefinedMonth.of(other), RUN)
    assert cloud.destination("/a/b/").ledger_entries() == [row]
    assert {f"a/b/{key}" for key in (QUALITY, QUARANTINE, TRIPS, MANIFEST)} < cloud.objects().keys()
    check_holds(cloud, other)


def test_recorded_lists_whole_months_in_order(cloud: Cloud, tmp_path: Path) -> None:
    destination = cloud.destination()
    months = [("yellow", "2020-04"), ("green", "2020-05"), ("green", "2020-04"), ("fhv", "2021-01")]
    for service, month in months:
        destination.replace_month(
            RefinedMonth.of(month_files(tmp_path, month=month, service=Service(service))), RUN
        )
    cloud.overwrite(f"quarantine/{PARTITION}/quarantine.parquet", b"of another size")
    cloud.overwrite("manifests/service=fhv/month=2021-01/manifest.json", b'{"service": "fhv", "month"')
    rows = cloud.destination().ledger_entries()
    assert [(row.service, str(row.month)) for row in rows] == [("green", "2020-05"), ("yellow", "2020-04")]


def test_only_the_manifests_of_the_months_in_question_are_read(cloud: Cloud, tmp_path: Path) -> None:
    destination = cloud.destination()
    for month in ("2020-04", "2020-05"):
        entry = destination.replace_month(RefinedMonth.of(month_files(tmp_path, month=month)), RUN)
    before = len(cloud.faulty.requests)
    months = [(GREEN, Month(2020, 5)), (GREEN, Month(2020, 6))]
    assert destination.ledger_entries(months) == [entry]
    targets = " ".join(unquote(target) for _, target, _ in cloud.faulty.requests[before:])
    assert set(re.findall(r"month=(20\d\d-\d\d)", targets)) == {"2020-05"}


def test_an_entry_that_was_just_read_is_not_read_again(cloud: Cloud, tmp_path: Path) -> None:
    destination = cloud.destination()
    entry = destination.replace_month(RefinedMonth.of(month_files(tmp_path)), RUN)
    before = len(cloud.faulty.requests)
    assert destination.find_damage(GREEN, APRIL, entry) is None
    assert len(cloud.faulty.requests) == before


@pytest.mark.parametrize("key", IN_ORDER)
def test_what_somebody_damaged_is_repaired(cloud: Cloud, tmp_path: Path, key: str) -> None:
    files = month_files(tmp_path)
    cloud.destination().replace_month(RefinedMonth.of(files), RUN)
    cloud.remove(next(each for each in cloud.objects() if each.startswith(key)))
    assert cloud.destination().ledger_entry(GREEN, APRIL) is None
    cloud.destination().replace_month(RefinedMonth.of(files), RUN)
    check_holds(cloud, files)


def test_an_object_of_the_right_size_with_wrong_bytes_is_sent_again(cloud: Cloud, tmp_path: Path) -> None:
    files = month_files(tmp_path)
    cloud.destination().replace_month(RefinedMonth.of(files), RUN)
    cloud.remove(MANIFEST)
    cloud.overwrite(TRIPS, bytes(files.trips_path.stat().st_size))
    cloud.destination().replace_month(RefinedMonth.of(files), RUN)
    check_holds(cloud, files)


def test_an_object_of_another_size_than_its_digest_says_is_sent_again(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = month_files(tmp_path)
    destination = cloud.destination()
    destination.replace_month(RefinedMonth.of(files), RUN)
    store, sizes, sent = destination._store, [1], []
    head, put = store.head, store.put

    def cut_short(key: str) -> Stored | None:
        stored = head(key)
        return dataclasses.replace(stored, size=sizes.pop()) if stored and key == TRIPS and sizes else stored

    def record(key: str, *arguments: Any) -> Stored:
        sent.append(key)
        return put(key, *arguments)

    monkeypatch.setattr(store, "head", cut_short)
    monkeypatch.setattr(store, "put", record)
    destination.replace_month(RefinedMonth.of(files), RUN)
    assert TRIPS in sent
    check_holds(cloud, files)


def test_progress_counts_rows_and_never_back(cloud: Cloud, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    cloud.faulty.next(lose_answer, cloud.write, TRIPS)
    cloud.destination().replace_month(
        RefinedMonth.of(month_files(tmp_path)), RUN, lambda *counts: seen.append(counts)
    )
    assert [total for _, total in seen] == [23] * len(seen)
    assert sorted(seen) == seen
    assert seen[-1] == (23, 23)


@pytest.mark.parametrize("fault", [answers(503), answers(429), cut], ids=["503", "429", "cut"])
def test_what_may_succeed_later_is_tried_again(cloud: Cloud, tmp_path: Path, fault: Fault) -> None:
    cloud.destination().replace_month(RefinedMonth.of(month_files(tmp_path, "v1")), RUN)
    for target in IN_ORDER:
        cloud.faulty.next(fault, cloud.write, target, times=2)
        cloud.faulty.next(fault, "GET", target, times=2)
        cloud.faulty.next(fault, "HEAD", target, times=2)
    files = month_files(tmp_path, "v2")
    cloud.destination().replace_month(RefinedMonth.of(files), RUN)
    check_holds(cloud, files)
    assert history(cloud) == ["v1", "v2"]


@pytest.mark.parametrize("target", IN_ORDER)
def test_an_answer_that_is_lost(cloud: Cloud, tmp_path: Path, target: str) -> None:
    """The object is in place, which its writer does not know: it finds its own work and goes on."""
    cloud.destination().replace_month(RefinedMonth.of(month_files(tmp_path, "v1")), RUN)
    cloud.faulty.next(lose_answer, cloud.write, target)
    files = month_files(tmp_path, "v2")
    row = cloud.destination().replace_month(RefinedMonth.of(files), RUN)
    assert check_holds(cloud, files) == row
    assert history(cloud) == ["v1", "v2"]


@pytest.mark.parametrize("fault", [answers(500), answers(503), cut], ids=["500", "503", "cut"])
def test_a_service_that_stays_away_is_given_up(cloud: Cloud, tmp_path: Path, fault: Fault) -> None:
    cloud.faulty.next(fault, times=100)
    with pytest.raises(DestinationUnreachable):
        cloud.destination().ledger_entries()
    assert len(cloud.faulty.requests) == 3
    with pytest.raises(DestinationUnreachable):
        cloud.destination().replace_month(RefinedMonth.of(month_files(tmp_path)), RUN)
    assert cloud.objects() == {}


def test_a_dead_server_is_unreachable(cloud: Cloud) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but it does not listen
        destination = cloud.destination(url=f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(DestinationUnreachable, match="cannot be reached"):
            destination.ledger_entries()


def test_a_silent_server_is_unreachable(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAXI_TIMEOUT", "0.1")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        destination = cloud.destination(url=f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(DestinationUnreachable, match="cannot be reached"):
            destination.ledger_entries()


def test_bytes_that_arrive_damaged_are_sent_again(cloud: Cloud, tmp_path: Path) -> None:
    cloud.faulty.next(damage, cloud.write, TRIPS)
    files = month_files(tmp_path)
    cloud.destination().replace_month(RefinedMonth.of(files), RUN)
    check_holds(cloud, files)


def test_bytes_that_always_arrive_damaged_are_refused(cloud: Cloud, tmp_path: Path) -> None:
    cloud.faulty.next(damage, cloud.write, TRIPS, times=100)
    with pytest.raises(DestinationUnreachable, match="corrupted in transit"):
        cloud.destination().replace_month(RefinedMonth.of(month_files(tmp_path)), RUN)
    assert MANIFEST not in cloud.objects()


@pytest.mark.parametrize("change", [lambda path: path.write_bytes(b"PAR1"), Path.unlink])
def test_a_file_that_has_changed_is_not_sent(cloud: Cloud, tmp_path: Path, change) -> None:
    files = month_files(tmp_path)
    sha256 = hashlib.sha256(files.trips_path.read_bytes()).hexdigest()
    known = {"trips.parquet": LakeObject(sha256, files.trips_path.stat().st_size)}
    change(files.trips_path)
    with pytest.raises(TaxiError, match=r"trips\.parquet.* run the month again"):
        cloud.destination().replace_month(RefinedMonth.of(dataclasses.replace(files, objects=known)), RUN)
    assert cloud.objects() == {}


@pytest.mark.crash
@pytest.mark.parametrize("puts", range(1, 6))
def test_killed_after_any_object(cloud: Cloud, tmp_path: Path, puts: int) -> None:
    """Readers find each object whole; the ledger does not know the month; the next run completes it."""
    old, files = month_files(tmp_path, "v1"), month_files(tmp_path, "v2")
    cloud.destination().replace_month(RefinedMonth.of(old), RUN)
    load_and_kill(cloud.name, files, f"{PUT}:{puts}")

    whole = [*parquet_of(old).items(), *parquet_of(files).items()]
    for key, (data, _) in cloud.objects().items():
        if key.endswith(".parquet"):
            assert (key, data) in whole
            pq.read_table(io.BytesIO(data))
    row = cloud.destination().ledger_entry(GREEN, APRIL)
    assert (row and row.version) == ("v2" if puts == 5 else None)

    sent = cloud.faulty.count(cloud.write)
    cloud.destination().replace_month(RefinedMonth.of(files), RUN)
    assert cloud.faulty.count(cloud.write) == sent + 5 - puts, "what was in place was sent again"
    check_holds(cloud, files)
    assert history(cloud) == ["v1", "v2"]


@pytest.mark.parametrize(
    ("before", "at"),
    [("v1", QUALITY), ("v1", QUARANTINE), ("v1", TRIPS), ("v1", MANIFEST), (None, QUALITY), (None, MANIFEST)],
)
def test_a_writer_that_is_overtaken_starts_again(
    cloud: Cloud, tmp_path: Path, at: str, before: str | None
) -> None:
    """One writer is held before an object, another loads another version meanwhile: no mixture."""
    if before:
        cloud.destination().replace_month(RefinedMonth.of(month_files(tmp_path, before)), RUN)
    slow, fast = month_files(tmp_path, "slow"), month_files(tmp_path, "fast")
    pause = Pause()
    cloud.faulty.next(pause, cloud.write, at)
    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(cloud.destination().replace_month, RefinedMonth.of(slow), RUN)
        assert pause.reached.wait(30)
        row = cloud.destination().replace_month(RefinedMonth.of(fast), RUN)
        assert check_holds(cloud, fast) == row
        pause.go_on.set()
        assert loading.result(30) == check_holds(cloud, slow)
    assert history(cloud) == [*([before] if before else []), "fast", "slow"]


@pytest.mark.parametrize("at", IN_ORDER)
def test_two_writers_of_the_same_version_load_it_once(cloud: Cloud, tmp_path: Path, at: str) -> None:
    files = month_files(tmp_path)
    pause = Pause()
    cloud.faulty.next(pause, cloud.write, at)
    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(cloud.destination().replace_month, RefinedMonth.of(files), RUN)
        assert pause.reached.wait(30)
        row = cloud.destination().replace_month(RefinedMonth.of(files), Run("other", "cli"))
        pause.go_on.set()
        assert loading.result(30) == row
    assert check_holds(cloud, files) == row
    assert history(cloud) == ["v1"]


@pytest.mark.parametrize("at", [QUARANTINE, TRIPS, MANIFEST])
def test_a_mixture_is_never_recorded(cloud: Cloud, tmp_path: Path, at: str) -> None:
    """Another writer dies after its first object, which lies under a load that is going on."""
    files = month_files(tmp_path)
    pause = Pause()
    cloud.faulty.next(pause, cloud.write, at)
    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(cloud.destination().replace_month, RefinedMonth.of(files), RUN)
        assert pause.reached.wait(30)
        load_and_kill(cloud.name, month_files(tmp_path, "v2"), PUT)
        pause.go_on.set()
        loading.result(30)
    assert cloud.destination().ledger_entry(GREEN, APRIL) is None
    cloud.destination().replace_month(RefinedMonth.of(files), RUN)
    check_holds(cloud, files)


def test_what_was_in_place_but_is_no_longer(cloud: Cloud, tmp_path: Path) -> None:
    """A run finds objects of its version, which a dead one left; before it has seen all, another loads."""
    cloud.destination().replace_month(RefinedMonth.of(month_files(tmp_path, "v1")), RUN)
    slow, fast = month_files(tmp_path, "slow"), month_files(tmp_path, "fast")
    load_and_kill(cloud.name, slow, f"{PUT}:3")
    pause = Pause()
    cloud.faulty.next(pause, skip=3)  # a load begins with four reads
    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(cloud.destination().replace_month, RefinedMonth.of(slow), RUN)
        assert pause.reached.wait(30)
        cloud.destination().replace_month(RefinedMonth.of(fast), RUN)
        pause.go_on.set()
        loading.result(30)
    check_holds(cloud, slow)


def test_many_writers_at_once_leave_one_version(cloud: Cloud, tmp_path: Path) -> None:
    months = [month_files(tmp_path, f"v{number}") for number in range(4)]

    def load(files: MonthFiles) -> str | None:
        try:
            return cloud.destination().replace_month(RefinedMonth.of(files), RUN).version
        except DestinationUnreachable:  # overtaken as often as it may try
            return None

    with ThreadPoolExecutor(8) as pool:
        done = set(pool.map(load, [*months, *months]))
    assert done <= {None, *(files.version for files in months)}
    row = cloud.destination().ledger_entry(GREEN, APRIL)
    if row:
        check_holds(cloud, next(files for files in months if files.version == row.version))
    cloud.destination().replace_month(RefinedMonth.of(months[0]), RUN)
    check_holds(cloud, months[0])


def test_a_load_of_the_same_version_during_a_deletion_stays(cloud: Cloud, tmp_path: Path) -> None:
    files = month_files(tmp_path)
    cloud.destination().replace_month(RefinedMonth.of(files), RUN)
    pause = Pause()
    cloud.faulty.next(pause, cloud.write, HISTORY)  # the manifest says that the month is deleted
    with ThreadPoolExecutor(1) as pool:
        deleting = pool.submit(cloud.destination().delete_month, GREEN, APRIL, RUN)
        assert pause.reached.wait(30)
        row = cloud.destination().replace_month(RefinedMonth.of(files), Run("later", "cli"))
        pause.go_on.set()
        assert deleting.result(30) is not None
    assert check_holds(cloud, files) == row


def test_objects_that_a_deletion_removes_under_a_load_are_sent_again(cloud: Cloud, tmp_path: Path) -> None:
    """The load has written its objects, but not its manifest, when the deletion removes them."""
    files = month_files(tmp_path)
    cloud.destination().replace_month(RefinedMonth.of(files), RUN)
    deletion, load = Pause(), Pause()
    cloud.faulty.next(deletion, cloud.write, HISTORY)
    with ThreadPoolExecutor(2) as pool:
        deleting = pool.submit(cloud.destination().delete_month, GREEN, APRIL, RUN)
        assert deletion.reached.wait(30)
        cloud.faulty.next(load, cloud.write, MANIFEST)
        loading = pool.submit(cloud.destination().replace_month, RefinedMonth.of(files), Run("later", "cli"))
        assert load.reached.wait(30)
        deletion.go_on.set()
        assert deleting.result(30) is not None
        load.go_on.set()
        row = loading.result(30)
    assert check_holds(cloud, files) == row


def test_only_manifests_of_months_name_a_month() -> None:
    assert month_of(MANIFEST) == (GREEN, APRIL)
    for strange in ("service=uber/month=2020-04", "service=green/month=2020-13", "service=green"):
        assert month_of(f"manifests/{strange}/manifest.json") is None
    assert month_of(f"{MANIFEST}.old") is None


def test_contents_are_measured(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"bytes")
    of_file, of_bytes = Content.of(path, "a/b"), Content.of(b"bytes", "a/b")
    assert dataclasses.replace(of_file, data=b"bytes") == of_bytes
    assert (of_bytes.size, of_bytes.sha256) == (5, hashlib.sha256(b"bytes").hexdigest())
    with of_file.open() as file:
        assert file.read() == b"bytes"


def test_a_deletion_that_breaks_off_is_found_and_completed(cloud: Cloud, tmp_path: Path, quick: None) -> None:
    files = month_files(tmp_path)
    cloud.destination().replace_month(RefinedMonth.of(files), RUN)
    cloud.faulty.next(answers(403), "DELETE", "quarantine.parquet")
    with pytest.raises(DestinationError):
        cloud.destination().delete_month(GREEN, APRIL, RUN)
    assert TRIPS not in cloud.objects()
    assert cloud.destination().ledger_entry(GREEN, APRIL) is None
    assert "though it was deleted: delete it again" in str(cloud.destination().find_damage(GREEN, APRIL))
    assert cloud.destination().delete_month(GREEN, APRIL, Run("later", "cli")) is not None
    assert cloud.destination().find_damage(GREEN, APRIL) is None
    assert set(cloud.objects()) & set(parquet_of(files)) == set()
    assert [entry.action for entry in cloud.destination().history(GREEN, APRIL)] == ["load", "delete"]
