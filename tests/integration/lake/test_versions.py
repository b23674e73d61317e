"""Refined months in a lake of any kind: written once, complete or not there, fetched by any worker."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nyc_taxi.errors import NotInLake
from nyc_taxi.lake.layout import FILES
from nyc_taxi.lake.object_store.gcs.config import GcsConfig
from nyc_taxi.lake.versions import Versions
from nyc_taxi.load.object_store.gcs import Gcs
from nyc_taxi.load.object_store.s3 import S3
from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.references import MonthFiles
from nyc_taxi.model.run import Run
from nyc_taxi.transform.parquet import write_month
from nyc_taxi.transform.refined import RefinedMonth
from tests.support.builders import cleaned, green_csv, project_rules
from tests.support.lakes import Lakes, lake, shared_lake  # noqa: F401
from tests.support.wsgi import Pause, answers, cut, lose_answer

GREEN, APRIL = Service.GREEN, Month(2020, 4)
RUN = Run("run-1", "airflow")


def refined(versions: Versions, tmp_path: Path, rows: int = 30) -> MonthFiles:
    """A month refined by the worker whose lake it is, not yet published."""
    place = tmp_path / f"refine-{hashlib.sha256(str(versions.folder).encode()).hexdigest()[:6]}"
    place.mkdir(exist_ok=True)
    source = dataclasses.replace(
        green_csv(place / "green.csv", [{}] * rows), url="https://example.org/green.csv"
    )
    clean = cleaned(source, place / "scratch")
    files = write_month(clean, project_rules(GREEN), versions.place(GREEN, APRIL, clean.version))
    shutil.rmtree(place)
    return files


def carried(files: MonthFiles) -> MonthFiles:
    """As it travels to another worker."""
    return MonthFiles.from_dict(json.loads(json.dumps(files.to_dict())))


def check_holds(lake: Lakes, files: MonthFiles, worker: str = "reader") -> None:  # noqa: F811
    """Any worker gets exactly these files."""
    fetched = lake.versions(worker).fetch(carried(files))
    for name in FILES:
        content = (fetched.folder / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == files.objects[name].sha256
    assert lake.versions(worker).find(GREEN, APRIL, files.version) == carried(files)


def test_a_version_is_four_objects(lake: Lakes, tmp_path: Path) -> None:  # noqa: F811
    files = lake.versions().add(refined(lake.versions(), tmp_path))
    folder = f"versions/service=green/month=2020-04/version={files.version}/"
    assert lake.store().keys("versions/") == sorted(folder + name for name in (*FILES, "manifest.json"))
    assert files.objects["trips.parquet"].uri.endswith(f"{folder}trips.parquet")
    assert [each.version for each in lake.versions().held()] == [files.version]
    check_holds(lake, files)


def test_what_is_there_already_is_not_written_again(shared_lake: Lakes, tmp_path: Path) -> None:  # noqa: F811
    cloud = shared_lake.cloud
    assert cloud is not None
    files = shared_lake.versions("one").add(refined(shared_lake.versions("one"), tmp_path))
    written = cloud.faulty.count(cloud.write)
    assert shared_lake.versions("two").add(refined(shared_lake.versions("two"), tmp_path)) == files
    assert cloud.faulty.count(cloud.write) == written


def test_a_version_without_its_manifest_is_not_there(lake: Lakes, tmp_path: Path) -> None:  # noqa: F811
    files = refined(lake.versions(), tmp_path)
    if lake.cloud is None:
        (files.folder / "manifest.json").unlink()
    assert lake.versions("two").find(GREEN, APRIL, files.version) is None
    assert lake.versions("two").held() == []
    with pytest.raises(NotInLake, match=r"the lake no longer holds version"):
        lake.versions("two").fetch(carried(files))


@pytest.mark.parametrize("name", FILES)
def test_a_version_that_has_lost_an_object_is_not_there(lake: Lakes, tmp_path: Path, name: str) -> None:  # noqa: F811
    files = lake.versions().add(refined(lake.versions(), tmp_path))
    key = f"versions/service=green/month=2020-04/version={files.version}/{name}"
    if lake.cloud is None:
        (files.folder / name).unlink()
    else:
        lake.cloud.remove(key)
    assert lake.versions("two").find(GREEN, APRIL, files.version) is None
    with pytest.raises(NotInLake):
        lake.versions("two").fetch(carried(files))
    again = lake.versions().add(refined(lake.versions(), tmp_path))
    check_holds(lake, again)


@pytest.mark.parametrize("at", [*FILES, "manifest.json"])
def test_two_workers_at_once_leave_one_version(shared_lake: Lakes, tmp_path: Path, at: str) -> None:  # noqa: F811
    cloud = shared_lake.cloud
    assert cloud is not None
    slow, fast = (refined(shared_lake.versions(worker), tmp_path) for worker in ("slow", "fast"))
    pause = Pause()
    cloud.faulty.next(pause, cloud.write, at)
    with ThreadPoolExecutor(1) as pool:
        adding = pool.submit(shared_lake.versions("slow").add, slow)
        assert pause.reached.wait(30)
        first = shared_lake.versions("fast").add(fast)
        pause.go_on.set()
        assert carried(adding.result(30)) == carried(first)
    check_holds(shared_lake, first)


@pytest.mark.parametrize("at", [*FILES, "manifest.json"])
def test_workers_whose_libraries_write_other_bytes_agree_on_one(
    shared_lake: Lakes,  # noqa: F811
    tmp_path: Path,
    at: str,
) -> None:
    """Neither leaves a version whose manifest describes the other's files."""
    cloud = shared_lake.cloud
    assert cloud is not None
    slow, fast = (refined(shared_lake.versions(worker), tmp_path) for worker in ("slow", "fast"))
    with (slow.folder / "trips.parquet").open("ab") as file:
        file.write(b"!")
    content = slow.trips_path.read_bytes()
    other = dataclasses.replace(
        slow.objects["trips.parquet"], sha256=hashlib.sha256(content).hexdigest(), size=len(content)
    )
    slow = dataclasses.replace(slow, objects={**slow.objects, "trips.parquet": other})
    pause = Pause()
    cloud.faulty.next(pause, cloud.write, at)
    with ThreadPoolExecutor(1) as pool:
        adding = pool.submit(shared_lake.versions("slow").add, slow)
        assert pause.reached.wait(30)
        shared_lake.versions("fast").add(fast)
        pause.go_on.set()
        result = adding.result(30)
    stored = shared_lake.versions("reader").find(GREEN, APRIL, fast.version)
    assert stored is not None
    check_holds(shared_lake, stored)
    assert shared_lake.versions("slow").fetch(carried(result)).objects.keys() == set(FILES)


@pytest.mark.parametrize("at", [*FILES, "manifest.json"])
@pytest.mark.parametrize("fault", [lose_answer, cut, answers(503)], ids=["answer lost", "cut", "503"])
def test_a_connection_that_breaks(shared_lake: Lakes, tmp_path: Path, at: str, fault) -> None:  # noqa: F811
    cloud = shared_lake.cloud
    assert cloud is not None
    cloud.faulty.next(fault, cloud.write, at)
    cloud.faulty.next(fault if fault is not lose_answer else cut, "GET", at)
    files = shared_lake.versions().add(refined(shared_lake.versions(), tmp_path))
    check_holds(shared_lake, files)


def test_a_copy_that_is_damaged_is_fetched_again(shared_lake: Lakes, tmp_path: Path) -> None:  # noqa: F811
    files = shared_lake.versions("one").add(refined(shared_lake.versions("one"), tmp_path))
    fetched = shared_lake.versions("two").fetch(carried(files))
    fetched.trips_path.write_bytes(b"PAR1")
    check_holds(shared_lake, files, "two")
    fetched.trips_path.write_bytes(b"PAR1")
    alone = shared_lake.versions("two").fetch_file(carried(files), "trips.parquet")
    assert hashlib.sha256(alone.read_bytes()).hexdigest() == files.objects["trips.parquet"].sha256


def test_a_destination_in_the_same_bucket_copies_the_version(shared_lake: Lakes, tmp_path: Path) -> None:  # noqa: F811
    """The month is not uploaded again, and its files need not be on the worker that loads it."""
    cloud = shared_lake.cloud
    assert cloud is not None
    files = shared_lake.versions("one").add(refined(shared_lake.versions("one"), tmp_path))
    target = cloud.target()
    destination = Gcs(target, is_lake=True) if isinstance(target, GcsConfig) else S3(target, is_lake=True)

    def fetch() -> MonthFiles:
        raise AssertionError("a copy needs no files")

    before = len(cloud.faulty.requests)
    entry = destination.replace_month(RefinedMonth.stored(carried(files), fetch), RUN)
    assert (entry.version, entry.rows_loaded) == (files.version, files.trips)
    sent = sum(size for method, _, size in cloud.faulty.requests[before:] if method == cloud.write)
    assert sent < 10_000
    for name in FILES:
        kind = name.removesuffix(".parquet")
        data, metadata = cloud.objects()[f"{kind}/service=green/month=2020-04/{name}"]
        assert hashlib.sha256(data).hexdigest() == files.objects[name].sha256
        assert metadata == {"version": files.version, "sha256": files.objects[name].sha256}
    assert cloud.destination().ledger_entry(GREEN, APRIL) == entry
    assert destination.replace_month(RefinedMonth.stored(carried(files), fetch), RUN) == entry


def test_a_version_that_has_expired_is_uploaded(shared_lake: Lakes, tmp_path: Path) -> None:  # noqa: F811
    cloud = shared_lake.cloud
    assert cloud is not None
    files = refined(shared_lake.versions("one"), tmp_path)
    target = cloud.target()
    destination = Gcs(target, is_lake=True) if isinstance(target, GcsConfig) else S3(target, is_lake=True)
    entry = destination.replace_month(RefinedMonth.stored(carried(files), lambda: files), RUN)
    assert cloud.destination().ledger_entry(GREEN, APRIL) == entry
