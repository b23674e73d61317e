"""The tests against real services, run against emulators: they pass but for what emulators do not do."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest

from nyc_taxi.local import gcs
from nyc_taxi.settings import PROJECT
from tests.e2e.cloud.__main__ import main
from tests.support import ceph
from tests.support.bigquery import Place
from tests.support.clouds import gcs_server, s3_cloud
from tests.support.waiting import until

pytestmark = pytest.mark.slow


def results(report: Path) -> dict[str, str]:
    """The result of each step of a report."""
    return dict(re.findall(r"^\| (.+?) \| (passed|failed|skipped) \|", report.read_text(), re.MULTILINE))


def failed(report: Path) -> set[str]:
    return {step for step, result in results(report).items() if result != "passed"}


def use_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"ACCESS_KEY_ID": "key", "SECRET_ACCESS_KEY": "secret", "REGION": "us-east-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)


def test_s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    use_keys(monkeypatch)
    report = tmp_path / "report.md"
    with s3_cloud() as cloud:
        assert main(["s3", "--endpoint", cloud.url, "--parallel", "2", "--report", str(report)]) == 1
        assert [bucket["Name"] for bucket in cloud.client.list_buckets()["Buckets"]] == [cloud.bucket]
    assert failed(report) == {"preconditions of writes in parts", "preconditions of copies"}
    assert len(results(report)) == 12


@pytest.mark.skipif(bool(ceph.missing()), reason=ceph.missing() or "none")
def test_s3_in_ceph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A real service; version 16 ignores the same preconditions as moto, later ones may keep them."""
    use_keys(monkeypatch)
    report = tmp_path / "report.md"
    with ceph.ceph() as url:
        code = main(["s3", "--endpoint", url, "--parallel", "2", "--report", str(report)])
    assert failed(report) <= {"preconditions of writes in parts", "preconditions of copies"}
    assert code == bool(failed(report))
    assert len(results(report)) == 12


def test_a_bucket_that_exists_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    use_keys(monkeypatch)
    report = ["--report", str(tmp_path / "report.md")]
    with s3_cloud() as cloud:
        cloud.client.put_object(Bucket=cloud.bucket, Key="theirs", Body=b"1")
        assert main(["s3", "--endpoint", cloud.url, "--bucket", cloud.bucket, *report]) == 1
        assert cloud.objects().keys() == {"theirs"}
    with gcs_server() as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
        assert main(["google", "--project", "local", "--bucket", gcs.BUCKET, *report]) == 1
        assert httpx.get(f"{server.url}/storage/v1/b/{gcs.BUCKET}").status_code == 200
    assert capsys.readouterr().err.count("it exists; name a new one") == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_an_interruption_ends_the_loads_and_deletes_the_bucket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
):
    use_keys(monkeypatch)
    with s3_cloud() as cloud:
        options = ["--endpoint", cloud.url, "--bucket", "its-own", "--report", str(tmp_path / "report.md")]
        command = [sys.executable, "-m", "tests.e2e.cloud", "s3", *options]
        process = subprocess.Popen(
            command, cwd=PROJECT, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        until(lambda: cloud.faulty.count("PUT", "/its-own/raw/"), 120)
        loads = psutil.Process(process.pid).children(recursive=True)
        assert loads
        os.killpg(process.pid, number)  # as a terminal does
        _, messages = process.communicate(timeout=60)
        assert process.returncode == 130
        assert "everything is deleted: deleted\ninterrupted" in messages
        assert [bucket["Name"] for bucket in cloud.client.list_buckets()["Buckets"]] == [cloud.bucket]
    assert not any(load.is_running() for load in loads)


def test_google(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, emulator: Place):
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", emulator.endpoint)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", emulator.bucket["STORAGE_EMULATOR_HOST"])
    report, name = tmp_path / "report.md", "cloud-test-of-its-own"
    small = ["--parallel", "2", "--large-rows", "2000"]
    tests = ["--tests", "tests/unit/model/test_months.py"]
    options = ["--project", "local", "--bucket", name, *small, *tests, "--report", str(report)]
    assert main(["google", *options]) == 1
    assert failed(report) == {
        "preconditions of writes in parts",
        "preconditions of copies",
        "a month by resumable or multipart upload",  # 2,000 rows are too few; test_s3 has enough
        "a bucket in another location",
    }
    assert len(results(report)) == 18
    url = emulator.bucket["STORAGE_EMULATOR_HOST"]
    assert httpx.get(f"{url}/storage/v1/b/{name}").status_code == 404
    projects = f"{emulator.endpoint}/bigquery/v2/projects/local/datasets"
    assert "taxi_test_" not in httpx.get(projects).text
