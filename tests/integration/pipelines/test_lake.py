"""Months over a shared lake: published once, loaded again from it, by workers that have only it in common."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import pytest

from nyc_taxi.errors import NotInLake, SettingsError
from nyc_taxi.lake.layout import FILES
from nyc_taxi.lake.lookups import LookupFile
from nyc_taxi.lake.object_store.gcs.config import GcsConfig
from nyc_taxi.local import samples
from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.references import MonthFiles, SourceFile
from nyc_taxi.model.run import Run, RunContext
from nyc_taxi.pipelines import zones
from nyc_taxi.pipelines.trips import download as download_step
from nyc_taxi.pipelines.trips import load as load_step
from nyc_taxi.pipelines.trips import refine as refine_step
from nyc_taxi.reporting.report import page
from nyc_taxi.settings import load_settings
from tests.integration.cli.test_cli import taxi
from tests.support.clouds import Cloud, gcs_cloud, s3_cloud
from tests.support.runs import run_month
from tests.support.servers import FaultyServer

GREEN, APRIL = Service.GREEN, Month(2020, 4)
NAME = "green_tripdata_2020-04.csv.gz"
RUN = Run("run-1", "airflow")
CURRENT = ("trips/", "quarantine/", "quality/", "manifests/", "ledger/")


class Bucket:
    """A bucket that is lake and destination; `worker` turns this process into another worker."""

    def __init__(self, cloud: Cloud, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cloud, self.folder, self._monkeypatch = cloud, folder, monkeypatch
        target = cloud.target()
        self.name = "gcs" if isinstance(target, GcsConfig) else "s3"
        values = {"TAXI_LAKE": self.name}
        if isinstance(target, GcsConfig):
            values |= {"GCS_BUCKET": target.bucket, "STORAGE_EMULATOR_HOST": target.endpoint}
        else:
            values |= {
                "S3_BUCKET": target.bucket,
                "AWS_ENDPOINT": target.endpoint,
                "AWS_REGION": target.region,
                "AWS_ACCESS_KEY_ID": target.access_key_id,
                "AWS_SECRET_ACCESS_KEY": target.secret_access_key,
            }
        for name, value in values.items():
            monkeypatch.setenv(name, value)
        self.worker("one")

    def worker(self, name: str) -> None:
        """Go on as another worker, with a disk of its own."""
        self._monkeypatch.setenv("TAXI_WORKSPACE", str(self.folder / name))

    def wipe(self, name: str) -> None:
        """Delete a worker's disk."""
        shutil.rmtree(self.folder / name)

    def remove(self, *prefixes: str) -> None:
        """Delete objects."""
        for key in self.cloud.objects():
            if key.startswith(prefixes):
                self.cloud.remove(key)

    def current(self) -> dict[str, bytes]:
        """The objects that readers see."""
        return {
            key: data
            for key, (data, _) in self.cloud.objects().items()
            if key.startswith(("trips/", "quarantine/", "quality/"))
        }


@pytest.fixture(params=[gcs_cloud, s3_cloud], ids=["gcs", "s3"])
def bucket(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    quick: None,
) -> Iterator[Bucket]:
    """An empty bucket of each kind."""
    monkeypatch.setenv("TAXI_RULES", "mage_project/rules.yaml")
    with request.param() as cloud:
        yield Bucket(cloud, tmp_path / "workers", monkeypatch)


@pytest.fixture
def url(server: FaultyServer, tmp_path: Path) -> str:
    """A month on a server."""
    samples.write(GREEN, APRIL, tmp_path / NAME, rows=400)
    return server.put(f"/{NAME}", (tmp_path / NAME).read_bytes())


def download(url: str) -> SourceFile:
    file = download_step.download(GREEN, APRIL, url, load_settings())
    return SourceFile.from_dict(json.loads(json.dumps(file.to_dict())))


def refine(file: SourceFile) -> MonthFiles:
    files = refine_step.refine(file, load_settings())
    return MonthFiles.from_dict(json.loads(json.dumps(files.to_dict())))


def load(files: MonthFiles, destination: str) -> load_step.Loaded:
    settings = load_settings()
    return load_step.load(refine_step.stored_month(files, settings), destination, RunContext(settings, RUN))


def test_each_step_may_run_on_another_worker(bucket: Bucket, url: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("DUCKDB_DATABASE", str(tmp_path / "warehouse.duckdb"))
    file = download(url)
    bucket.worker("two")
    files = refine(file)
    assert not any((bucket.folder / "two" / "scratch").iterdir())
    for worker, destination in (("three", bucket.name), ("four", "duckdb")):
        bucket.worker(worker)
        loaded = load(files, destination)
        assert (loaded.skipped, loaded.entry.version, loaded.entry.rows_in) == (False, files.version, 400)
    assert not (bucket.folder / "three").exists()  # the bucket has copied the month itself
    with duckdb.connect(tmp_path / "warehouse.duckdb", read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM taxi.trips_green").fetchone() == (files.trips,)


def test_the_report_of_any_worker_is_one_page_in_the_bucket(
    bucket: Bucket, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAXI_DESTINATIONS", bucket.name)
    files = refine(download(url))
    first = page.publish(files, load_settings())
    bucket.worker("two")
    assert page.publish(files, load_settings()) == first
    key = "reports/green-2020-04.html"
    [stored] = [each for each in bucket.cloud.objects() if each.endswith(key)]
    assert bucket.cloud.objects()[stored][0].startswith(b"<!doctype html>")
    begins = {"gcs": "gs://", "s3": "s3://"}[bucket.name]
    assert first.startswith(begins)
    assert first.endswith(stored)


def test_no_worker_downloads_a_version_twice(bucket: Bucket, url: str, server: FaultyServer) -> None:
    first, sent = download(url), server.sent
    bucket.worker("two")
    assert download(url) == first
    assert server.sent == sent
    data = server.files[f"/{NAME}"].data
    server.put(f"/{NAME}", data, '"2"')
    assert download(url).etag == '"2"'
    bucket.worker("three")
    assert download(url).etag == '"2"'
    assert server.sent == sent + len(data)


def test_a_source_that_is_down_is_no_harm_where_the_lake_has_its_file(
    bucket: Bucket,
    url: str,
    server: FaultyServer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    first = download(url)
    bucket.worker("two")
    server.missing = 503
    server.files.clear()
    assert download(url) == first
    assert f"Using the file that the lake holds ({first.version})." in caplog.text


def test_the_same_month_is_refined_once(bucket: Bucket, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file = download(url)
    files = refine(file)
    bucket.worker("two")
    monkeypatch.setattr("nyc_taxi.transform.clean.clean_month", None)
    assert refine(file) == files


@pytest.mark.parametrize("lost", [("versions/",), ("versions/", "raw/")], ids=["version", "raw file too"])
def test_what_the_lake_has_lost_is_made_again(bucket: Bucket, url: str, lost: tuple[str, ...]) -> None:
    """Objects expire, or somebody deletes them, between two tasks."""
    files = refine(download(url))
    bucket.remove(*lost)
    bucket.wipe("one")
    bucket.worker("two")
    assert load(files, bucket.name).entry.version == files.version
    current = {Path(key).name: data for key, data in bucket.current().items()}
    assert current.keys() == set(FILES)


def test_a_disk_that_is_wiped_between_any_two_steps(bucket: Bucket, url: str) -> None:
    file = download(url)
    bucket.wipe("one")
    files = refine(file)
    bucket.wipe("one")
    assert load(files, bucket.name).entry.version == files.version


def test_everything_is_rebuilt_from_the_lake(bucket: Bucket, server: FaultyServer, tmp_path: Path) -> None:
    months = [Month(2020, 3), APRIL, Month(2020, 5)]
    for month in months:
        path = tmp_path / f"green_tripdata_{month}.csv.gz"
        samples.write(GREEN, month, path, rows=300)
        server.put(f"/{path.name}", path.read_bytes(), f'"{month}"')
        run_month(GREEN, month, server.url, [bucket.name], RUN)
    before = bucket.current()
    assert len(before) == 9
    bucket.wipe("one")
    bucket.remove(*CURRENT, "versions/")
    assert bucket.current() == {}
    server.files.clear()  # withdrawn
    bucket.worker("two")
    for month in months:
        outcome = run_month(GREEN, month, "lake", [bucket.name], RUN)
        assert outcome.loaded[0].entry.source_url == f"{server.url}/green_tripdata_{month}.csv.gz"
    assert bucket.current() == before


def test_an_earlier_file_is_loaded_again_by_its_sha256_or_version(
    bucket: Bucket,
    url: str,
    server: FaultyServer,
    tmp_path: Path,
) -> None:
    old = refine(download(url))
    samples.write(GREEN, APRIL, tmp_path / NAME, rows=401, seed=2)
    server.put(f"/{NAME}", (tmp_path / NAME).read_bytes(), '"2"')
    new = refine(download(url))
    assert download("lake").sha256 == new.source.sha256
    assert download(f"lake:{old.source.sha256[:8]}").sha256 == old.source.sha256
    assert download(f"lake:{old.version[:8]}").sha256 == old.source.sha256
    with pytest.raises(
        NotInLake, match=r"no file of green 2020-04 whose SHA-256 begins with 0123, only \w{12}, \w{12}:"
    ):
        download("lake:0123")
    with pytest.raises(SettingsError, match="'lake:latest' is not known: write lake"):
        download("lake:latest")


def test_old_copies_do_not_fill_a_workers_disk(bucket: Bucket, url: str, monkeypatch) -> None:
    refine(download(url))
    monkeypatch.setattr("nyc_taxi.lake.workspace.KEEP_SECONDS", 0)
    from nyc_taxi.lake.workspace import Workspace

    workspace = Workspace(bucket.folder / "one")
    assert list(workspace.copies.rglob("*.parquet"))
    workspace.prune_copies(older_than=-1)
    assert not list(workspace.copies.rglob("*.parquet"))
    assert not list((workspace.root / "source").rglob("*.gz"))


def test_a_bucket_leaves_the_local_lake_of_the_same_workspace_alone(
    bucket: Bucket, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nyc_taxi.lake.workspace import Workspace

    workspace = Workspace(bucket.folder / "one")
    with monkeypatch.context() as local:
        local.setenv("TAXI_LAKE", "local")
        refine(download(url))
    before = sorted(workspace.lake.rglob("*"))
    assert before
    refine(download(url))
    workspace.prune_copies(older_than=-1)
    assert sorted(workspace.lake.rglob("*")) == before


def test_the_command_line_lists_and_copies_what_the_lake_holds(tmp_path: Path) -> None:
    source = tmp_path / NAME
    samples.write(GREEN, APRIL, source, rows=300)
    assert "The lake is empty" in taxi(tmp_path, "lake", "list").stdout
    assert taxi(tmp_path, "run", "green", "2020-04", "--source", str(source)).returncode == 0
    listed = json.loads(taxi(tmp_path, "lake", "list", "green", "2020-04", "--json").stdout)
    [raw], [version] = listed["raw"], listed["versions"]
    shown = taxi(tmp_path, "lake", "list").stdout
    assert raw["sha256"][:12] in shown
    assert version["version"] in shown
    data = source.read_bytes()
    (tmp_path / "workspace" / "source").exists()
    copied = taxi(tmp_path, "lake", "fetch", "green", "2020-04", "--to", str(tmp_path / "out"))
    assert copied.stdout.strip() == str(tmp_path / "out" / NAME)
    assert (tmp_path / "out" / NAME).read_bytes() == data
    taxi(tmp_path, "lake", "fetch", "green", "2020-04", version["version"][:6], "--to", str(tmp_path / "out"))
    assert {*FILES, "manifest.json"} <= {path.name for path in (tmp_path / "out").iterdir()}
    source.unlink()
    (tmp_path / "warehouse.duckdb").unlink()
    again = taxi(tmp_path, "backfill", "green", "2020-04", "2020-04", "--source", "lake")
    assert "loaded into duckdb" in again.stdout


def test_two_tasks_of_one_worker_may_refine_the_same_month(bucket: Bucket, url: str) -> None:
    """They share a workspace; the first to end removes the scratch files that the other may be using."""
    file = download(url)
    with ThreadPoolExecutor(3) as pool:
        refined = list(pool.map(lambda _: refine(file), range(3)))
    assert {files.version for files in refined} == {refined[0].version}
    assert load(refined[0], bucket.name).entry.version == refined[0].version


def test_the_list_of_zones_goes_through_the_lake(bucket: Bucket, tmp_path: Path) -> None:
    """Any worker reads the list that one has stored; a list that was withdrawn is loaded from the lake."""
    stored = []
    for zone in ("NA", "Outside of NYC"):
        path = tmp_path / "zones.csv"
        path.write_text(f"LocationID,Borough,Zone,service_zone\n265,N/A,{zone},N/A\n")
        stored.append(zones.fetch_zones(load_settings(), str(path)))
        path.unlink()
    old, new = (LookupFile.from_dict(json.loads(json.dumps(file.to_dict()))) for file in stored)
    bucket.worker("two")
    settings = load_settings()
    assert zones.stored_zones(old, settings).rows["zone"].to_pylist() == ["NA"]
    assert zones.fetch_zones(settings, "lake") == new
    assert zones.fetch_zones(settings, f"lake:{old.sha256[:6]}") == old
    with pytest.raises(
        NotInLake, match=f"no file of zones whose SHA-256 begins with 0, only .*{old.sha256[:12]}"
    ):
        zones.fetch_zones(settings, "lake:0")
    bucket.remove("lookups/")
    bucket.wipe("two")
    with pytest.raises(NotInLake, match=r"no longer holds zones\.csv .*; load it from its source"):
        zones.stored_zones(old, settings)
