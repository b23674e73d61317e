"""Processes that are killed or come together."""

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.published_months import CSV, bring, folder, left_in, sha256
from tests.support.servers import Fault, FaultyServer
from tests.support.waiting import until

NAME = "green_tripdata_2020-04.csv"
SIZE = len(CSV)

SCRIPT = """
import logging, sys
from tests.support.published_months import bring
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
                cwd=Path(__file__).parents[3],
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
    until(lambda: part.exists() and part.stat().st_size == at)
    process.kill()
    process.wait()
    file = bring(url, tmp_path)
    assert file.path.read_bytes() == CSV
    assert server.requests[1].headers["Range"] == f"bytes={at}-"
    assert server.requests[1].headers["If-Range"] == '"1"'
    assert left_in(tmp_path) == [NAME, f"{NAME}.json"]


@pytest.mark.crash
def test_two_processes_at_once_fetch_once(server: FaultyServer, tmp_path: Path, start: Start) -> None:
    url = server.put(f"/{NAME}", CSV)
    server.plan = [Fault(pause=5000)]
    first = start(url, tmp_path)
    until(lambda: server.requests)
    second = start(url, tmp_path)
    assert second.stderr is not None
    assert "another process is fetching this month" in next(
        line for line in second.stderr if "another" in line
    )
    server.go_on.set()
    for process in (first, second):
        out, err = process.communicate(timeout=60)
        assert out.strip() == sha256(CSV), err
    assert server.sent == SIZE
    assert [request.headers.get("If-None-Match") for request in server.requests] == [None, '"1"']
