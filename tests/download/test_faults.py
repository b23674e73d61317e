"""Servers that break off, stall, lie or change the file; processes that are killed or come together."""

import base64
import contextlib
import hashlib
import logging
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import google_crc32c
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from nyc_taxi.errors import NotPublished, SourceError, SourceUnreachable, Transient
from nyc_taxi.settings import settings
from tests.download.months import CSV, CSV_GZ, bring, folder, left_in, parquet, sha256
from tests.servers import Fault, FaultyServer, serve

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
    settings.cache_clear()
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


def test_a_range_shorter_than_asked_is_kept(server: FaultyServer, tmp_path: Path) -> None:
    url = server.put(f"/{NAME}", CSV)
    short = {"Content-Range": f"bytes 5000-5999/{SIZE}", "Content-Length": "1000"}
    server.plan = [Fault(cut=5000), Fault(cut=1000, headers=short)]
    assert bring(url, tmp_path).path.read_bytes() == CSV
    assert ranges(server) == [None, "bytes=5000-", "bytes=6000-"]


def test_a_part_sent_unasked_is_refused(server: FaultyServer, tmp_path: Path) -> None:
    url = server.put(f"/{NAME}", CSV)
    server.plan = [Fault(status=206)]
    with pytest.raises(SourceError, match="unasked"):
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
    with pytest.raises(SourceUnreachable, match=r"arrived damaged, the .* checksum is not the server's"):
        bring(url, tmp_path / "other")
    assert left_in(tmp_path / "other") == []


def offered(data: bytes) -> dict[str, str]:
    """Checksums as servers write them."""
    return {
        "md5": base64.b64encode(hashlib.md5(data).digest()).decode(),
        "crc32c": base64.b64encode(google_crc32c.Checksum(data).digest()).decode(),
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


def test_an_unreachable_source_leaves_the_file_that_is_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with serve() as server:
        url = server.put(f"/{NAME}", CSV)
        first = bring(url, tmp_path)
    with caplog.at_level(logging.WARNING, "nyc_taxi"):
        assert bring(url, tmp_path) == first
    (warning,) = [record.getMessage() for record in caplog.records if record.name.startswith("nyc_taxi")]
    assert "cannot be reached" in warning
    assert "Using the file fetched at" in warning
    first.path.write_bytes(b"changed")
    with pytest.raises(SourceUnreachable):
        bring(url, tmp_path)


class TestAuto:
    """The mirror first, TLC's own Parquet when the mirror has not the month or does not answer."""

    @pytest.fixture(autouse=True)
    def _bases(self, server: FaultyServer, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TAXI_CSV_URL", server.url + "/mirror")
        monkeypatch.setenv("TAXI_TLC_URL", server.url + "/tlc")
        settings.cache_clear()
        server.put("/tlc/green_tripdata_2020-04.parquet", parquet())

    def test_the_mirror_comes_first(self, server: FaultyServer, tmp_path: Path) -> None:
        url = server.put("/mirror/green/green_tripdata_2020-04.csv.gz", CSV_GZ)
        assert bring("auto", tmp_path).url == url

    def test_a_month_the_mirror_has_not(self, server: FaultyServer, tmp_path: Path) -> None:
        assert bring("auto", tmp_path).path.name == "green_tripdata_2020-04.parquet"
        assert [request.path[:5] for request in server.requests] == ["/mirr", "/tlc/"]

    def test_a_mirror_that_does_not_answer(
        self, server: FaultyServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        server.plan = [Fault(status=503)] * 3
        with caplog.at_level(logging.WARNING, "nyc_taxi"):
            assert bring("auto", tmp_path).path.name == "green_tripdata_2020-04.parquet"
        assert "503" in caplog.text
        assert "Trying" in caplog.text

    def test_neither(self, server: FaultyServer, tmp_path: Path) -> None:
        server.files.clear()
        with pytest.raises(NotPublished, match=r"mirror.* and .*tlc"):
            bring("auto", tmp_path)
        server.plan = [Fault(status=503)] * 3
        with pytest.raises(SourceUnreachable, match="mirror"):
            bring("auto", tmp_path)


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


SCRIPT = """
import logging, sys
from tests.download.months import bring
from pathlib import Path
logging.basicConfig(level=logging.INFO)
print(bring(sys.argv[1], Path(sys.argv[2])).sha256)
"""


Start = Callable[[str, Path], subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Fetch in processes of their own, which do not outlive the test."""
    with contextlib.ExitStack() as running:

        def new(url: str, workspace: Path) -> subprocess.Popen[str]:
            process = subprocess.Popen(
                [sys.executable, "-c", SCRIPT, url, str(workspace)],
                cwd=Path(__file__).parents[2],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            running.enter_context(process)
            running.callback(process.kill)
            return process

        yield new


@pytest.mark.crash
@pytest.mark.parametrize("at", [1, 5000, SIZE])
def test_a_killed_process_is_taken_up_again(
    server: FaultyServer, tmp_path: Path, start: Start, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    monkeypatch.setenv("TAXI_TIMEOUT", "100")  # the process must not give up before it is killed
    url = server.put(f"/{NAME}", CSV)
    # at its end: one byte more was announced than there is, which the next process is told (416)
    length = {"Content-Length": str(SIZE + 1)} if at == SIZE else {}
    server.plan = [Fault(pause=at, headers=length)]
    process = start(url, tmp_path)
    part = folder(tmp_path) / f"{NAME}.part"
    wait_until(lambda: part.exists() and part.stat().st_size == at)
    process.kill()
    process.wait()
    file = bring(url, tmp_path)
    assert file.path.read_bytes() == CSV
    assert server.requests[1].headers["Range"] == f"bytes={at}-"
    assert server.requests[1].headers["If-Range"] == '"1"'
    assert left_in(tmp_path) == [NAME, f"{NAME}.json"]


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.crash
def test_two_processes_at_once_fetch_once(server: FaultyServer, tmp_path: Path, start: Start) -> None:
    url = server.put(f"/{NAME}", CSV)
    server.plan = [Fault(pause=5000)]
    first = start(url, tmp_path)
    wait_until(lambda: server.requests)
    second = start(url, tmp_path)
    assert second.stderr is not None
    assert "another process fetches this month" in next(line for line in second.stderr if "another" in line)
    server.go_on.set()
    for process in (first, second):
        out, err = process.communicate(timeout=60)
        assert out.strip() == sha256(CSV), err
    assert server.sent == SIZE
    assert [request.headers.get("If-None-Match") for request in server.requests] == [None, '"1"']


FAULTS: dict[str, Callable[[int], Fault]] = {
    "cut": lambda at: Fault(cut=at),
    "cut, ranges ignored": lambda at: Fault(cut=at, full=True),
    "cut, conditions ignored": lambda at: Fault(cut=at, heedless=True),
    "reset": lambda at: Fault(reset=at),
    "busy": lambda at: Fault(status=503),
    "other bytes": lambda at: Fault(cut=at, change_to=CSV.replace(b"2,", b"1,")),
    "fewer bytes": lambda at: Fault(cut=at, change_to=CSV[:9000]),
    "more bytes": lambda at: Fault(cut=at, change_to=CSV * 2),
}


@pytest.fixture(scope="module")
def lasting_server() -> Iterator[FaultyServer]:
    with serve() as running:
        yield running


@given(plan=st.lists(st.tuples(st.sampled_from(sorted(FAULTS)), st.integers(0, SIZE)), max_size=6))
@hypothesis_settings(max_examples=40, deadline=None, derandomize=True)
def test_whatever_happens_the_file_is_a_version_that_was_served(
    lasting_server: FaultyServer, tmp_path_factory: pytest.TempPathFactory, plan: list[tuple[str, int]]
) -> None:
    workspace = tmp_path_factory.mktemp("faults")
    url = lasting_server.put(f"/{NAME}", CSV)
    lasting_server.plan = [FAULTS[name](at) for name, at in plan]
    for _ in range(3):  # of three attempts each: enough for six faults
        try:
            file = bring(url, workspace)
            break
        except SourceUnreachable:
            assert NAME not in left_in(workspace)
    versions = [(version.data, version.etag) for version in lasting_server.versions]
    assert (file.path.read_bytes(), file.etag) in versions
    assert file.sha256 == sha256(file.path.read_bytes())
