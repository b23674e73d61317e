"""Servers that break off, stall, lie or change the file."""

import base64
import hashlib
import resource
from pathlib import Path

import google_crc32c
import pytest

from nyc_taxi.errors import NotPublished, SourceError, SourceUnreachable, Transient
from tests.support.published_months import CSV, bring, left_in, sha256
from tests.support.servers import Fault, FaultyServer

NAME = "green_tripdata_2020-04.csv"
SIZE = len(CSV)


def ranges(server: FaultyServer) -> list[str | None]:
    return [request.headers.get("Range") for request in server.requests]


def test_what_has_arrived_is_not_fetched_twice(server: FaultyServer, tmp_path: Path) -> None:
    url = server.put(f"/{NAME}", CSV)
    server.plan = [Fault(cut=5000), Fault(cut=100)]
    assert bring(url, tmp_path).path.read_bytes() == CSV
    assert ranges(server) == [None, "bytes=5000-", "bytes=5100-"]
    assert {request.headers.get("If-Range") for request in server.requests} == {None, '"1"'}
    assert server.sent == SIZE
    assert left_in(tmp_path) == [NAME, f"{NAME}.json"]


def test_the_next_run_goes_on_where_the_last_gave_up(server: FaultyServer, tmp_path: Path) -> None:
    url = server.put(f"/{NAME}", CSV)
    server.plan = [Fault(cut=1000), Fault(status=503), Fault(cut=1000)]
    with pytest.raises(SourceUnreachable, match=r"127\.0\.0\.1 cannot be reached"):
        bring(url, tmp_path)
    assert left_in(tmp_path) == [f"{NAME}.part", f"{NAME}.part.json"]
    assert bring(url, tmp_path).path.read_bytes() == CSV
    assert ranges(server)[-1] == "bytes=2000-"
    assert server.sent == SIZE


def test_a_reset_connection(server: FaultyServer, tmp_path: Path) -> None:
    url = server.put(f"/{NAME}", CSV)
    server.plan = [Fault(reset=20_000), Fault(reset=20_000)]
    assert bring(url, tmp_path).path.read_bytes() == CSV


def test_a_stalled_server(server: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAXI_TIMEOUT", "0.2")
    monkeypatch.setenv("TAXI_RETRIES", "20")
    url = server.put(f"/{NAME}", CSV)
    server.plan = [Fault(pause=5000)]
    assert bring(url, tmp_path).path.read_bytes() == CSV
    assert ranges(server)[1] == "bytes=5000-"


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_busy_server(server: FaultyServer, tmp_path: Path, status: int) -> None:
    url = server.put(f"/{NAME}", CSV)
    server.plan = [Fault(status=status, headers={"Retry-After": "1"})] * 2
    bring(url, tmp_path)
    assert len(server.requests) == 3


def test_attempts_are_bounded_and_nothing_stays(server: FaultyServer, tmp_path: Path) -> None:
    server.plan = [Fault(status=503)] * 9
    with pytest.raises(SourceUnreachable) as caught:
        bring(server.url + f"/{NAME}", tmp_path)
    assert isinstance(caught.value, Transient)
    assert len(server.requests) == 3
    assert left_in(tmp_path) == []


@pytest.mark.parametrize("status", [400, 401, 404])
def test_a_refusal_is_not_tried_again(server: FaultyServer, tmp_path: Path, status: int) -> None:
    server.plan = [Fault(status=status)]
    with pytest.raises(SourceError) as caught:
        bring(server.url + f"/{NAME}", tmp_path)
    assert not isinstance(caught.value, Transient)
    assert isinstance(caught.value, NotPublished) == (status == 404)
    assert len(server.requests) == 1


def test_without_a_version_nothing_is_resumed_nor_left(server: FaultyServer, tmp_path: Path) -> None:
    url = server.put(f"/{NAME}", CSV, etag='W/"1"', last_modified=None)
    server.plan = [Fault(cut=5000)] * 3
    with pytest.raises(SourceUnreachable):
        bring(url, tmp_path)
    assert ranges(server) == [None, None, None]
    assert left_in(tmp_path) == []
    assert bring(url, tmp_path).path.read_bytes() == CSV


def test_a_server_without_ranges_sends_all_again(server: FaultyServer, tmp_path: Path) -> None:
    url = server.put(f"/{NAME}", CSV)
    server.plan = [Fault(cut=5000), Fault(full=True)]
    assert bring(url, tmp_path).path.read_bytes() == CSV
    assert ranges(server) == [None, "bytes=5000-"]


@pytest.mark.parametrize("heedless", [False, True])
def test_a_file_that_changes_meanwhile_is_fetched_anew(
    server: FaultyServer, tmp_path: Path, heedless: bool
) -> None:
    url, new = server.put(f"/{NAME}", CSV), CSV.replace(b"2,", b"1,")
    server.plan = [Fault(cut=5000, change_to=new), Fault(heedless=heedless)]
    file = bring(url, tmp_path)
    assert file.path.read_bytes() == new
    assert file.etag != '"1"'
    assert ranges(server) == [None, "bytes=5000-", None][: 3 if heedless else 2]


@pytest.mark.parametrize(
    "lie",
    [
        {"Content-Range": f"bytes 4000-{SIZE - 1}/{SIZE}"},
        {"Content-Range": f"bytes 5000-{SIZE - 1}/{SIZE + 1}"},
        {"Content-Range": "nonsense"},
    ],
)
def test_a_wrong_range_is_not_appended(server: FaultyServer, tmp_path: Path, lie: dict[str, str]) -> None:
    url = server.put(f"/{NAME}", CSV)
    server.plan = [Fault(cut=5000), Fault(headers=lie)]
    assert bring(url, tmp_path).path.read_bytes() == CSV
    assert ranges(server) == [None, "bytes=5000-", None]


@pytest.mark.parametrize(
    "terse",
    [Fault(headers={"Content-Range": f"bytes 5000-{SIZE - 1}/*"}), Fault(without=("ETag", "Last-Modified"))],
)
def test_a_range_that_does_not_repeat_size_or_version_is_appended(
    server: FaultyServer, tmp_path: Path, terse: Fault
) -> None:
    url = server.put(f"/{NAME}", CSV)
    server.plan = [Fault(cut=5000), terse]
    assert bring(url, tmp_path).path.read_bytes() == CSV
    assert ranges(server) == [None, "bytes=5000-"]


def test_a_range_shorter_than_asked_is_kept(server: FaultyServer, tmp_path: Path) -> None:
    url = server.put(f"/{NAME}", CSV)
    short = {"Content-Range": f"bytes 5000-5999/{SIZE}", "Content-Length": "1000"}
    server.plan = [Fault(cut=5000), Fault(cut=1000, headers=short)]
    assert bring(url, tmp_path).path.read_bytes() == CSV
    assert ranges(server) == [None, "bytes=5000-", "bytes=6000-"]


def test_a_part_sent_unasked_is_refused(server: FaultyServer, tmp_path: Path) -> None:
    url = server.put(f"/{NAME}", CSV)
    server.plan = [Fault(status=206)]
    with pytest.raises(SourceError, match="answered with part of the file"):
        bring(url, tmp_path)
    assert left_in(tmp_path) == []


@pytest.mark.parametrize("resumed", [False, True])
@pytest.mark.parametrize(
    "checksums",
    [
        {"x-goog-hash": "crc32c={crc32c},md5={md5}"},
        {"x-goog-hash": "crc32c={crc32c}"},
        {"x-goog-hash": "md5={md5}"},
        {"Content-MD5": "{md5}"},
    ],
)
def test_bytes_that_arrive_wrong_are_fetched_again(
    server: FaultyServer, tmp_path: Path, checksums: dict[str, str], resumed: bool
) -> None:
    headers = {name: text.format(**offered(CSV)) for name, text in checksums.items()}
    url = server.put(f"/{NAME}", CSV, checksums=headers)
    server.plan = [Fault(cut=5000, flip=10)] if resumed else [Fault(flip=10)]
    assert bring(url, tmp_path).path.read_bytes() == CSV
    server.plan = [Fault(flip=10, full=True)] * 3
    with pytest.raises(SourceUnreachable, match=r"the download is corrupt, the .* checksum is wrong"):
        bring(url, tmp_path / "other")
    assert left_in(tmp_path / "other") == []


def offered(data: bytes) -> dict[str, str]:
    """Checksums as servers write them."""
    return {
        "md5": base64.b64encode(hashlib.md5(data).digest()).decode(),
        "crc32c": base64.b64encode(google_crc32c.value(data).to_bytes(4, "big")).decode(),
    }


@pytest.mark.parametrize(
    "headers",
    [
        {"x-goog-hash": "crc32c=AAAAAA==", "x-goog-stored-content-encoding": "gzip"},
        {"Content-MD5": "not base64!"},
        {"Content-MD5": "AAAA"},
        {"x-goog-hash": "sha9=AAAAAA=="},
    ],
)
def test_checksums_of_other_bytes_or_kinds_are_not_compared(
    server: FaultyServer, tmp_path: Path, headers: dict[str, str]
) -> None:
    url = server.put(f"/{NAME}", CSV, checksums=headers)
    assert bring(url, tmp_path).sha256 == sha256(CSV)


def test_a_full_disk_loses_nothing(server: FaultyServer, tmp_path: Path) -> None:
    data = CSV[: SIZE // 2] + CSV[SIZE // 2 :] * 100
    url = server.put(f"/{NAME}", data)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        with pytest.raises(
            SourceError, match=r"cannot be read or written \(File too large\).*TAXI_WORKSPACE"
        ):
            bring(url, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert bring(url, tmp_path).path.read_bytes() == data
    assert ranges(server) == [None, "bytes=1000000-"]
