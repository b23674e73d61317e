"""S3: uploads in parts, what the service may answer, configuration, and months as one table."""

from __future__ import annotations

import datetime as dt
import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import duckdb
import pandas as pd
import pyarrow.dataset
import pyarrow.fs
import pyarrow.parquet as pq
import pytest
from werkzeug.wrappers import Request, Response

from nyc_taxi.errors import DestinationError, DestinationUnreachable, PreconditionFailed, SettingsError
from nyc_taxi.lake.object_store.s3 import store as s3_store
from nyc_taxi.lake.object_store.s3.config import S3Config
from nyc_taxi.lake.object_store.s3.store import S3Store
from nyc_taxi.lake.object_store.store import Content
from nyc_taxi.load.object_store.s3 import S3
from nyc_taxi.load.registry import open_destination
from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.references import MonthFiles
from nyc_taxi.model.run import Run
from nyc_taxi.settings import load_settings
from nyc_taxi.transform.refined import RefinedMonth
from tests.support.builders import large_month, month_files
from tests.support.clouds import S3Cloud, s3_cloud
from tests.support.wsgi import Application, Fault, Pause, answers, cut, damage, lose_answer, with_body

GREEN = Service.GREEN
APRIL = Month(2020, 4)
RUN = Run("run-1", "cli")
TRIPS = "trips/service=green/month=2020-04/trips.parquet"


@pytest.fixture(autouse=True)
def nothing_configured(quick: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No bucket and no credentials but those of a test."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "S3_"))]:
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def cloud() -> Iterator[S3Cloud]:
    with s3_cloud() as bucket:
        yield bucket


def unfinished(cloud: S3Cloud) -> list[str]:
    """Keys of uploads that were begun and neither completed nor aborted."""
    uploads = cloud.client.list_multipart_uploads(Bucket=cloud.bucket)
    return [upload["Key"] for upload in uploads.get("Uploads", [])]


def check_holds(cloud: S3Cloud, files: MonthFiles) -> None:
    """The trips are those of this version, whole, and nothing is left over."""
    data, metadata = cloud.objects()[TRIPS]
    assert data == files.trips_path.read_bytes()
    assert metadata["version"] == files.version
    row = cloud.destination().ledger_entry(GREEN, APRIL)
    assert row
    assert row.version == files.version
    assert unfinished(cloud) == []


# ---- uploads in parts


def test_a_large_month_is_sent_in_parts(cloud: S3Cloud, tmp_path: Path) -> None:
    files = large_month(tmp_path)
    cloud.destination().replace_month(RefinedMonth.of(files), RUN)
    check_holds(cloud, files)
    assert cloud.faulty.count("PUT", "partNumber=") == 3
    head = cloud.client.head_object(Bucket=cloud.bucket, Key=TRIPS)
    assert head["ContentType"] == "application/vnd.apache.parquet"


@pytest.mark.parametrize("fault", [answers(503), cut, lose_answer])
def test_only_the_part_that_failed_is_sent_again(cloud: S3Cloud, tmp_path: Path, fault: Fault) -> None:
    cloud.faulty.next(fault, "PUT", "partNumber=2")
    files = large_month(tmp_path)
    cloud.destination().replace_month(RefinedMonth.of(files), RUN)
    check_holds(cloud, files)
    assert cloud.faulty.count("PUT", "partNumber=") == 4


def test_a_part_that_arrives_damaged_is_found_out_and_sent_again(cloud: S3Cloud, tmp_path: Path) -> None:
    cloud.faulty.next(damage, "PUT", "partNumber=2")
    files = large_month(tmp_path)
    cloud.destination().replace_month(RefinedMonth.of(files), RUN)
    check_holds(cloud, files)


@pytest.mark.parametrize("fault", [answers(503), cut, lose_answer])
def test_a_completion_that_failed(cloud: S3Cloud, tmp_path: Path, fault: Fault) -> None:
    cloud.faulty.next(fault, "POST", "uploadId=")
    files = large_month(tmp_path)
    cloud.destination().replace_month(RefinedMonth.of(files), RUN)
    check_holds(cloud, files)
    assert cloud.faulty.count("PUT", "partNumber=") == 3


def test_an_upload_that_fails_is_aborted(cloud: S3Cloud, tmp_path: Path) -> None:
    cloud.faulty.next(answers(503), "PUT", "partNumber=2", times=100)
    with pytest.raises(DestinationUnreachable, match="the service is busy"):
        cloud.destination().replace_month(RefinedMonth.of(large_month(tmp_path)), RUN)
    assert unfinished(cloud) == []
    assert TRIPS not in cloud.objects()


def test_stale_uploads_of_the_same_object_are_aborted(
    cloud: S3Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = dt.datetime(2010, 11, 10, 20, 48, 33, tzinfo=dt.UTC)  # what moto says of every upload
    for key in (TRIPS, f"{TRIPS}.other", "another"):
        cloud.client.create_multipart_upload(Bucket=cloud.bucket, Key=key)
    monkeypatch.setattr(s3_store, "STALE", dt.datetime.now(dt.UTC) - begun + dt.timedelta(hours=1))
    cloud.destination().replace_month(RefinedMonth.of(large_month(tmp_path, "v1")), RUN)
    assert sorted(unfinished(cloud)) == sorted([TRIPS, f"{TRIPS}.other", "another"]), "not stale yet"
    monkeypatch.setattr(s3_store, "STALE", dt.datetime.now(dt.UTC) - begun - dt.timedelta(hours=1))
    cloud.destination().replace_month(RefinedMonth.of(large_month(tmp_path, "v2")), RUN)
    assert sorted(unfinished(cloud)) == sorted([f"{TRIPS}.other", "another"])


def test_no_permission_to_look_for_stale_uploads(cloud: S3Cloud, tmp_path: Path) -> None:
    cloud.faulty.next(answers(403), "GET", "?uploads")
    files = large_month(tmp_path)
    cloud.destination().replace_month(RefinedMonth.of(files), RUN)
    check_holds(cloud, files)


def test_a_completion_does_not_replace_what_another_run_wrote(cloud: S3Cloud, tmp_path: Path) -> None:
    slow, fast = large_month(tmp_path, "slow"), month_files(tmp_path, "fast")
    pause = Pause()
    cloud.faulty.next(pause, "POST", "uploadId=")
    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(cloud.destination().replace_month, RefinedMonth.of(slow), RUN)
        assert pause.reached.wait(30)
        row = cloud.destination().replace_month(RefinedMonth.of(fast), RUN)
        assert cloud.destination().ledger_entries() == [row]
        pause.go_on.set()
        loading.result(30)
    check_holds(cloud, slow)


def test_every_write_has_its_precondition(cloud: S3Cloud, tmp_path: Path) -> None:
    """moto does not heed If-Match when an upload in parts is completed: that it is sent must do."""
    seen: list[tuple[str | None, str | None]] = []

    def note(request: Request, application: Application) -> Response:
        seen.append((request.headers.get("If-Match"), request.headers.get("If-None-Match")))
        return application(request)

    def watch() -> None:
        seen.clear()
        cloud.faulty.next(note, "PUT", ".parquet? ")
        cloud.faulty.next(note, "PUT", ".parquet? ")
        cloud.faulty.next(note, "POST", "uploadId=")
        cloud.faulty.next(note, "PUT", ".json")
        cloud.faulty.next(note, "PUT", ".json")

    def tag(key: str) -> Any:
        return cloud.client.head_object(Bucket=cloud.bucket, Key=key)["ETag"]

    watch()
    cloud.destination().replace_month(RefinedMonth.of(large_month(tmp_path, "v1")), RUN)
    assert seen == [(None, "*")] * 5
    kinds = ("quality", "quarantine", "trips")
    keys = [f"{kind}/service=green/month=2020-04/{kind}.parquet" for kind in kinds]
    tags = [tag(key) for key in [*keys, "manifests/service=green/month=2020-04/manifest.json"]]
    watch()
    cloud.destination().replace_month(RefinedMonth.of(large_month(tmp_path, "v2")), RUN)
    assert seen == [*((before, None) for before in tags), (None, "*")]


def as_ceph(request: Request, application: Application) -> Response:
    """Ceph takes the quotes of an If-Match for a part of the ETag, and leaves it out of a completion."""
    tag = request.headers.get("If-Match", "")
    if tag.startswith('"'):
        return Response("<Error><Code>PreconditionFailed</Code></Error>", 412)
    if tag:
        request = with_body(request, request.get_data(), HTTP_IF_MATCH=f'"{tag}"')
    response = application(request)
    if request.method == "POST" and "uploadId=" in request.query_string.decode():
        response.set_data(re.sub(rb"<ETag>.*?</ETag>", b"<ETag></ETag>", response.get_data()))
    return response


def test_ceph_replaces_a_month(cloud: S3Cloud, tmp_path: Path) -> None:
    for method in ("PUT", "POST"):
        cloud.faulty.next(as_ceph, method, times=1000)
    for version in ("v1", "v2"):
        files = large_month(tmp_path, version)
        cloud.destination().replace_month(RefinedMonth.of(files), RUN)
        check_holds(cloud, files)
    assert cloud.faulty.count("POST", "uploadId=") == 3, "one for v1, and two for v2"


def test_an_object_that_another_run_replaced_is_kept_in_ceph(
    cloud: S3Cloud,
) -> None:
    for method in ("PUT", "DELETE"):
        cloud.faulty.next(as_ceph, method, times=1000)
    store = S3Store(cloud.target())

    def put(text: bytes, tag: str | None) -> str:
        return store.put("key", Content.of(text, "text/plain"), {}, tag, lambda _: None).tag

    first = put(b"first", None)
    second = put(b"second", first)
    for tag in (None, first):
        with pytest.raises(PreconditionFailed):
            put(b"third", tag)
    with pytest.raises(PreconditionFailed):
        store.delete("key", first)
    assert cloud.objects()["key"][0] == b"second"
    store.delete("key", second)
    assert cloud.objects() == {}


def test_an_etag_that_is_no_checksum(cloud: S3Cloud, tmp_path: Path) -> None:
    """As with objects that are encrypted with a key of KMS; the service has checked Content-MD5."""

    def encrypted(request: Request, application: Application) -> Response:
        response = application(request)
        response.headers["ETag"] = '"0123456789abcdef0123456789abcdef"'
        response.headers["x-amz-server-side-encryption"] = "aws:kms"
        return response

    cloud.faulty.next(encrypted, "PUT", TRIPS)
    files = month_files(tmp_path)
    cloud.destination().replace_month(RefinedMonth.of(files), RUN)
    check_holds(cloud, files)


# ---- what is refused


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (403, "AccessDenied", "not permitted (AccessDenied: no way); allow s3:GetObject, s3:PutObject"),
        (403, "InvalidAccessKeyId", "the credentials were rejected (InvalidAccessKeyId: no way)"),
        (403, "SignatureDoesNotMatch", "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
        (400, "ExpiredToken", "and for temporary credentials AWS_SESSION_TOKEN, to valid ones"),
        (404, "NoSuchBucket", "the bucket does not exist; create it or set S3_BUCKET"),
        (501, "NotImplemented", "the store does not support conditional writes"),
        (400, "InvalidRequest", "refused (InvalidRequest: no way)"),
    ],
)
def test_a_refusal_is_not_tried_again(
    cloud: S3Cloud, tmp_path: Path, status: int, code: str, message: str
) -> None:
    body = f"<Error><Code>{code}</Code><Message>no way</Message></Error>"
    cloud.faulty.next(answers(status, body), "PUT", times=100)
    with pytest.raises(DestinationError, match=re.escape(message)) as caught:
        cloud.destination().replace_month(RefinedMonth.of(month_files(tmp_path)), RUN)
    assert not isinstance(caught.value, DestinationUnreachable)
    assert cloud.faulty.count("PUT") == 1


def test_what_the_service_finds_damaged_is_sent_again(cloud: S3Cloud, tmp_path: Path) -> None:
    body = "<Error><Code>BadDigest</Code><Message>The Content-MD5 did not match</Message></Error>"
    cloud.faulty.next(answers(400, body), "PUT", TRIPS)
    files = month_files(tmp_path)
    cloud.destination().replace_month(RefinedMonth.of(files), RUN)
    check_holds(cloud, files)


def test_no_bucket(cloud: S3Cloud, tmp_path: Path) -> None:
    cloud.bucket = "not-there"
    for ask in (
        lambda: cloud.destination().ledger_entries(),
        lambda: cloud.destination().ledger_entry(GREEN, APRIL),
        lambda: cloud.destination().replace_month(RefinedMonth.of(month_files(tmp_path)), RUN),
    ):
        with pytest.raises(DestinationError, match=r"S3 bucket not-there at .* the bucket does not exist"):
            ask()


def test_no_credentials(cloud: S3Cloud) -> None:
    with pytest.raises(DestinationError, match="Unable to locate credentials"):
        S3(S3Config(cloud.bucket, endpoint=cloud.url, region="us-east-1")).ledger_entries()


@pytest.mark.parametrize("wrong", [{"endpoint": "not a url"}, {"region": "us east"}])
def test_a_setting_that_makes_no_sense(wrong: dict[str, Any]) -> None:
    with pytest.raises(DestinationError, match="check S3_BUCKET, AWS_ENDPOINT and AWS_REGION"):
        S3(S3Config("lake", access_key_id="key", secret_access_key="secret", **wrong)).ledger_entries()


# ---- configuration


def test_the_target_is_that_of_io_config(
    cloud: S3Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {
        "S3_BUCKET": cloud.bucket,
        "S3_PREFIX": "taxi",
        "AWS_ENDPOINT": cloud.url,
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "very secret",
        "AWS_SESSION_TOKEN": "also secret",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    destination = open_destination("s3", load_settings())
    assert destination.describe() == f"S3 bucket {cloud.bucket}/taxi at {cloud.url}"
    assert "secret" not in repr(S3Config.from_settings(load_settings())).replace("secret_", "")
    row = destination.replace_month(RefinedMonth.of(month_files(tmp_path)), RUN)
    assert cloud.destination("taxi").ledger_entries() == [row]


def test_a_bucket_is_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S3_BUCKET", "s3://lake/taxi")
    with pytest.raises(SettingsError, match="S3_BUCKET='s3://lake/taxi' is not a bucket name"):
        S3.from_settings(load_settings())


# ---- months as one table

COUNTS = [("green", "2020-04", 20), ("green", "2020-05", 21), ("yellow", "2020-04", 22)]


@pytest.fixture
def lake(cloud: S3Cloud, tmp_path: Path) -> S3Cloud:
    """Three months of two services."""
    for service, month, trips in COUNTS:
        files = month_files(tmp_path / "files", "v1", month, trips, service=Service(service))
        cloud.destination("lake").replace_month(RefinedMonth.of(files), RUN)
    return cloud


def filesystem(cloud: S3Cloud) -> pyarrow.fs.FileSystem:
    """The bucket as pyarrow opens it."""
    return pyarrow.fs.S3FileSystem(
        access_key="key",
        secret_key="secret",
        endpoint_override=urlsplit(cloud.url).netloc,
        scheme="http",
        region="us-east-1",
        force_virtual_addressing=False,
    )


def test_pyarrow_pandas_and_duckdb_over_pyarrow_read_all_months_from_s3(lake: S3Cloud) -> None:
    place = f"{lake.bucket}/lake/trips"
    trips = pyarrow.dataset.dataset(place, filesystem=filesystem(lake), partitioning="hive")
    query = "SELECT service, month, count(*) FROM trips GROUP BY ALL ORDER BY ALL"
    assert duckdb.sql(query).fetchall() == COUNTS

    table = trips.to_table(["service", "month", "source_row"])
    counted = table.group_by(["service", "month"]).aggregate([("source_row", "count")])
    assert sorted(tuple(row.values()) for row in counted.to_pylist()) == COUNTS

    frame = pd.read_parquet(place, filesystem=filesystem(lake), columns=["service", "month", "source_row"])
    sizes = frame.groupby(["service", "month"], observed=True).size().reset_index()
    assert list(sizes.itertuples(index=False, name=None)) == COUNTS


def test_duckdb_reads_all_months_by_one_glob_once_fetched(lake: S3Cloud, tmp_path: Path) -> None:
    """DuckDB itself reads s3:// addresses with an extension that is not always there."""
    for key, (data, _) in lake.objects().items():
        path = tmp_path / key
        path.parent.mkdir(parents=True)
        path.write_bytes(data)
        if key.endswith(".parquet"):
            assert {"service", "month"}.isdisjoint(pq.read_schema(path).names)
    query = "SELECT service, month, count(*) FROM '{}' GROUP BY ALL ORDER BY ALL"
    assert duckdb.sql(query.format(tmp_path / "lake/trips/*/*/*.parquet")).fetchall() == COUNTS
    for kind, each in [("quarantine", 3), ("quality", 1)]:
        loaded = duckdb.sql(query.format(tmp_path / f"lake/{kind}/*/*/*.parquet")).fetchall()
        assert loaded == [(service, month, each) for service, month, _ in COUNTS]
    rows = f"SELECT rows_loaded FROM '{tmp_path}/lake/ledger/*/*/*.json' ORDER BY 1"
    assert duckdb.sql(rows).fetchall() == [(20,), (21,), (22,)]
