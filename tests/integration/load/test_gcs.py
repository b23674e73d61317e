"""GCS: the embedded server, uploads in parts, credentials and what the service may answer."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import duckdb
import pyarrow.dataset
import pyarrow.fs
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from gcp_storage_emulator.server import create_server
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
from werkzeug.wrappers import Request, Response

from nyc_taxi.errors import DestinationError, DestinationUnreachable, SettingsError
from nyc_taxi.lake.object_store.gcs import upload
from nyc_taxi.lake.object_store.gcs.config import GcsConfig
from nyc_taxi.lake.object_store.store import PART_BYTES
from nyc_taxi.load.object_store.gcs import Gcs
from nyc_taxi.load.registry import open_destination
from nyc_taxi.local import gcs as embedded
from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.run import Run
from nyc_taxi.retry import RetryPolicy
from nyc_taxi.settings import load_settings
from nyc_taxi.transform.refined import RefinedMonth
from tests.support.builders import large_month, month_files
from tests.support.clouds import GcsCloud, gcs_cloud
from tests.support.wsgi import (
    Application,
    Fault,
    Faulty,
    Pause,
    answers,
    cut,
    damage,
    lose_answer,
    serve,
    with_body,
)

GREEN = Service.GREEN
APRIL = Month(2020, 4)
RUN = Run("run-1", "cli")
TRIPS = "trips/service=green/month=2020-04/trips.parquet"


@pytest.fixture(autouse=True)
def nothing_configured(quick: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No bucket and no credentials but those of a test."""
    for name in ("GCS_BUCKET", "GCS_PREFIX", "GOOGLE_SERVICE_ACC_KEY_FILEPATH", "STORAGE_EMULATOR_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "no-gcloud"))
    monkeypatch.setenv("NO_GCE_CHECK", "true")


@pytest.fixture
def cloud() -> Iterator[GcsCloud]:
    with gcs_cloud() as bucket:
        yield bucket


def parts(faulty: Faulty) -> list[int]:
    """The bytes of each part that was sent; 0 is a question for how many have arrived."""
    return [length for method, _, length in faulty.requests if method == "PUT"]


def test_without_a_bucket_the_embedded_server_is_used(workspace: Path, tmp_path: Path) -> None:
    folder = workspace / "gcs"
    destination = open_destination("gcs", load_settings())
    assert destination.describe() == f"GCS emulator in {folder}, bucket taxi (GCS_BUCKET is not set)"
    assert embedded.running(folder) is None, "started before it was needed"
    try:
        files = large_month(tmp_path)
        row = destination.replace_month(RefinedMonth.of(files), RUN)
        embedded.stop(folder)
        assert open_destination("gcs", load_settings()).ledger_entries() == [row]

        server = embedded.running(folder)
        assert server
        client = storage.Client("any", AnonymousCredentials(), client_options={"api_endpoint": server.url})
        blob = client.bucket("taxi").get_blob(TRIPS)
        assert (blob.content_type, blob.cache_control) == ("application/vnd.apache.parquet", "no-cache")
        assert blob.metadata["version"] == "v1"
        assert blob.download_as_bytes() == files.trips_path.read_bytes()
    finally:
        embedded.stop(folder)


def test_months_are_one_table_for_pyarrow_and_duckdb_over_gcs(
    gcs_server: embedded.Server, tmp_path: Path
) -> None:
    destination = Gcs(GcsConfig("taxi", "lake", endpoint=gcs_server.url))
    for month, service in [("2020-04", "green"), ("2020-05", "green"), ("2020-04", "yellow")]:
        destination.replace_month(
            RefinedMonth.of(month_files(tmp_path, month=month, service=Service(service))), RUN
        )
    address = urlsplit(gcs_server.url)
    filesystem = pyarrow.fs.GcsFileSystem(
        anonymous=True, scheme="http", endpoint_override=address.netloc, retry_time_limit=timedelta(seconds=5)
    )
    trips = pyarrow.dataset.dataset("taxi/lake/trips", filesystem=filesystem, partitioning="hive")
    assert {"service", "month"} <= set(trips.schema.names)
    counts = duckdb.sql("SELECT service, month, count(*) FROM trips GROUP BY ALL ORDER BY ALL").fetchall()
    assert counts == [("green", "2020-04", 20), ("green", "2020-05", 20), ("yellow", "2020-04", 20)]
    one = trips.to_table(filter=pyarrow.dataset.field("month") == "2020-05")
    assert set(one["month"].to_pylist()) == {"2020-05"}


def test_a_proxy_does_not_stand_before_an_emulator(
    cloud: GcsCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY")
    cloud.destination().replace_month(RefinedMonth.of(large_month(tmp_path)), RUN)


# ---- uploads in parts


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Upload a large month in three parts."""
    monkeypatch.setattr(upload, "PART_BYTES", PART_BYTES)


@pytest.fixture
def resuming() -> Iterator[tuple[Faulty, GcsConfig, storage.Bucket]]:
    """An emulator that knows resumable uploads well, behind faults: they, the target, a look past both."""
    emulator = create_server("127.0.0.1", 0, in_memory=True, default_bucket="taxi")
    emulator.start()
    port = emulator._api._httpd.server_port
    faulty = Faulty(relay(port))
    client = storage.Client(
        "any", AnonymousCredentials(), client_options={"api_endpoint": f"http://127.0.0.1:{port}"}
    )
    try:
        with serve(faulty) as url:
            yield faulty, GcsConfig("taxi", endpoint=url), client.bucket("taxi")
    finally:
        emulator.stop()


def relay(port: int) -> Application:
    """Passes requests on to a server of the loopback."""

    def forward(request: Request) -> Response:
        with closing(HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
            connection.request(
                request.method, request.environ["RAW_URI"], request.get_data(), dict(request.headers)
            )
            answer = connection.getresponse()
            return Response(answer.read(), answer.status, answer.getheaders())

    return forward


def half_arrives(request: Request, application: Application) -> Response:
    """Half of a part reaches the service, then the connection breaks."""
    range_sent = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", request.headers["Content-Range"])
    assert range_sent
    start, half = int(range_sent[1]), len(request.get_data()) // 2
    span = f"bytes {start}-{start + half - 1}/{range_sent[2]}"
    application(with_body(request, request.get_data()[:half], HTTP_CONTENT_RANGE=span))
    return cut(request, application)


def keeps_half(request: Request, application: Application) -> Response:
    """The service keeps half of a part and says so, as Google's page on resumable uploads allows."""
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", request.headers["Content-Range"])
    assert found
    start, half = int(found[1]), len(request.get_data()) // 2
    span = f"bytes {start}-{start + half - 1}/{found[2]}"
    return application(with_body(request, request.get_data()[:half], HTTP_CONTENT_RANGE=span))


@pytest.mark.parametrize(
    ("fault", "part", "lost"),
    [
        (cut, 1, PART_BYTES),
        (half_arrives, 1, PART_BYTES // 2),
        (answers(503), 1, PART_BYTES),
        (lose_answer, 1, 0),
        (lose_answer, 2, 0),
    ],
    ids=["a part is lost", "half of it", "it is refused for now", "its answer is lost", "the last answer is"],
)
def test_an_upload_is_resumed_where_it_broke_off(
    resuming: tuple[Faulty, GcsConfig, storage.Bucket], tmp_path: Path, fault: Fault, part: int, lost: int
) -> None:
    faulty, target, bucket = resuming
    faulty.next(fault, "PUT", skip=part)
    files = large_month(tmp_path)
    Gcs(target).replace_month(RefinedMonth.of(files), RUN)
    whole = files.trips_path.read_bytes()
    assert bucket.get_blob(TRIPS).download_as_bytes() == whole
    assert parts(faulty)[part + 1] == 0, "the service was not asked what it has"
    assert sum(parts(faulty)) == len(whole) + lost, "more was sent again than was lost"


def test_a_part_is_sent_in_blocks_and_may_be_sent_again() -> None:
    """A socket's timeout is the time for all bytes that it gets at once."""
    data = os.urandom(3 * upload.BLOCK_BYTES + 1)
    part = upload.Blocks(data)
    assert len(part) == len(data)
    for _ in range(2):
        blocks = list(part)
        assert b"".join(blocks) == data
        assert max(map(len, blocks)) == upload.BLOCK_BYTES


def test_what_the_service_does_not_keep_of_a_part_is_sent_again(cloud: GcsCloud, tmp_path: Path) -> None:
    cloud.faulty.next(keeps_half, "PUT", skip=1)
    files = large_month(tmp_path)
    cloud.destination().replace_month(RefinedMonth.of(files), RUN)
    assert cloud.objects()[TRIPS][0] == files.trips_path.read_bytes()


def test_the_client_library_gives_up_such_an_upload(cloud: GcsCloud) -> None:
    """The reason for uploads of our own: docs/decisions/0009-resumable-upload.md."""
    cloud.faulty.next(keeps_half, "PUT", skip=1)
    options = {"api_endpoint": cloud.url}
    client = storage.Client("any", AnonymousCredentials(), client_options=options)
    blob = client.bucket("taxi").blob("large", chunk_size=PART_BYTES)
    with pytest.raises(ValueError, match="Bytes stream is in unexpected state"):
        blob.upload_from_string(bytes(3 * PART_BYTES))


def test_an_upload_that_goes_nowhere_is_given_up(cloud: GcsCloud, tmp_path: Path) -> None:
    cloud.faulty.next(answers(308), "PUT", times=100)
    with pytest.raises(DestinationUnreachable, match="accepts no more bytes"):
        cloud.destination().replace_month(RefinedMonth.of(large_month(tmp_path)), RUN)
    assert len(parts(cloud.faulty)) == 5  # each attempt sends a part, two ask before


def test_an_upload_that_the_service_has_forgotten_starts_again(cloud: GcsCloud, tmp_path: Path) -> None:
    cloud.faulty.next(answers(410), "PUT", skip=1)
    files = large_month(tmp_path)
    cloud.destination().replace_month(RefinedMonth.of(files), RUN)
    assert cloud.objects()[TRIPS][0] == files.trips_path.read_bytes()


def test_a_part_that_arrives_damaged_is_refused_and_sent_again(cloud: GcsCloud, tmp_path: Path) -> None:
    cloud.faulty.next(damage, "PUT", skip=1)
    files = large_month(tmp_path)
    cloud.destination().replace_month(RefinedMonth.of(files), RUN)
    assert cloud.objects()[TRIPS][0] == files.trips_path.read_bytes()


def test_bytes_that_always_arrive_damaged_are_not_stored(cloud: GcsCloud, tmp_path: Path) -> None:
    """The service is told the checksum beforehand."""
    cloud.faulty.next(damage, "PUT", times=100)
    with pytest.raises(DestinationUnreachable, match="corrupted in transit"):
        cloud.destination().replace_month(RefinedMonth.of(large_month(tmp_path)), RUN)
    assert TRIPS not in cloud.objects()


@pytest.mark.parametrize("delayed", [("POST", "uploadType=resumable"), ("PUT", "")], ids=["begin", "end"])
def test_an_upload_in_parts_does_not_replace_what_another_run_wrote(
    cloud: GcsCloud, tmp_path: Path, delayed: tuple[str, str]
) -> None:
    slow, fast = large_month(tmp_path, "slow"), month_files(tmp_path, "fast")
    pause = Pause()
    cloud.faulty.next(pause, *delayed)
    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(cloud.destination().replace_month, RefinedMonth.of(slow), RUN)
        assert pause.reached.wait(30)
        row = cloud.destination().replace_month(RefinedMonth.of(fast), RUN)
        assert cloud.destination().ledger_entries() == [row]
        pause.go_on.set()
        row = loading.result(30)
    assert cloud.destination().ledger_entries() == [row]
    assert cloud.objects()[TRIPS][0] == slow.trips_path.read_bytes()


# ---- what is refused


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (403, "not permitted (no way); grant the account the role roles/storage.objectUser"),
        (404, "the bucket does not exist; create it or set GCS_BUCKET"),
        (400, "refused (no way)"),
    ],
)
def test_a_refusal_is_not_tried_again(cloud: GcsCloud, tmp_path: Path, status: int, message: str) -> None:
    body = json.dumps({"error": {"code": status, "message": "no way"}})
    cloud.faulty.next(answers(status, body, Content_Type="application/json"), "POST", times=100)
    with pytest.raises(DestinationError, match=re.escape(message)) as caught:
        cloud.destination().replace_month(RefinedMonth.of(month_files(tmp_path)), RUN)
    assert not isinstance(caught.value, DestinationUnreachable)
    assert cloud.faulty.count("POST") == 1


@pytest.mark.parametrize("status", [408, 409])
def test_a_timeout_and_a_write_to_the_same_object_are_tried_again(
    cloud: GcsCloud, tmp_path: Path, status: int
) -> None:
    cloud.faulty.next(answers(status), "POST", TRIPS)
    files = month_files(tmp_path)
    cloud.destination().replace_month(RefinedMonth.of(files), RUN)
    assert cloud.objects()[TRIPS][0] == files.trips_path.read_bytes()


def test_no_bucket(gcs_server: embedded.Server, tmp_path: Path) -> None:
    destination = Gcs(GcsConfig("not-there", endpoint=gcs_server.url))
    assert destination.ledger_entry(GREEN, APRIL) is None
    with pytest.raises(DestinationError, match="GCS bucket not-there: the bucket does not exist"):
        destination.ledger_entries()
    with pytest.raises(DestinationError, match="GCS bucket not-there: the bucket does not exist"):
        destination.replace_month(RefinedMonth.of(month_files(tmp_path)), RUN)


def test_no_credentials() -> None:
    with pytest.raises(DestinationError, match="run `gcloud auth application-default login`"):
        Gcs(GcsConfig("taxi")).ledger_entries()


@pytest.mark.parametrize("content", [None, "{}", "not JSON"])
def test_a_key_that_is_none(tmp_path: Path, content: str | None) -> None:
    key = tmp_path / "key.json"
    if content is not None:
        key.write_text(content)
    with pytest.raises(SettingsError, match=r"GOOGLE_SERVICE_ACC_KEY_FILEPATH=.*key\.json"):
        Gcs(GcsConfig("taxi", key_file=str(key))).ledger_entries()


def test_a_key_that_was_revoked(tmp_path: Path) -> None:
    def refuse(request: Request) -> Response:
        body = {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}
        return Response(json.dumps(body), 400, content_type="application/json")

    key = rsa.generate_private_key(65537, 2048).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    with serve(Faulty(refuse)) as url:
        file = tmp_path / "key.json"
        account = {"client_email": "a@b.iam.gserviceaccount.com", "private_key": key.decode()}
        file.write_text(json.dumps({"type": "service_account", "token_uri": url, **account}))
        with pytest.raises(
            DestinationError, match=r"the key .*key\.json cannot be used .*Invalid JWT"
        ) as caught:
            Gcs(GcsConfig("taxi", key_file=str(file))).ledger_entries()
    assert not isinstance(caught.value, DestinationUnreachable)


# ---- configuration


def test_the_target_is_that_of_io_config(monkeypatch: pytest.MonkeyPatch) -> None:
    assert GcsConfig.from_settings(load_settings()).embedded
    monkeypatch.setenv("GCS_BUCKET", "lake")
    monkeypatch.setenv("GCS_PREFIX", "taxi/")
    retry = RetryPolicy.of(load_settings())
    assert GcsConfig.from_settings(load_settings()) == GcsConfig("lake", "taxi/", retry=retry)
    assert (
        Gcs.from_settings(load_settings()).describe()
        == "GCS bucket lake/taxi with application default credentials"
    )
    monkeypatch.setenv("GOOGLE_SERVICE_ACC_KEY_FILEPATH", "key.json")
    assert Gcs.from_settings(load_settings()).describe() == "GCS bucket lake/taxi with key.json"
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "localhost:4443")
    assert (
        Gcs.from_settings(load_settings()).describe()
        == "GCS bucket lake/taxi on the emulator http://localhost:4443"
    )


def test_a_bucket_is_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GCS_BUCKET", "gs://lake")
    with pytest.raises(SettingsError, match="GCS_BUCKET='gs://lake' is not a bucket name"):
        Gcs.from_settings(load_settings())


def test_an_emulator_that_is_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GCS_BUCKET", "lake")
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "ftp://localhost")
    with pytest.raises(DestinationError, match="check STORAGE_EMULATOR_HOST"):
        Gcs.from_settings(load_settings()).ledger_entries()
