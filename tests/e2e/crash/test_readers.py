"""Analysts go on reading while months are swapped, a loader is stopped in a swap, and the server dies.

20 connections of the reader's role ask 200 times a second in all. Every answer must be a whole version of the
month. The longest wait for an answer is printed for each part, reconnecting included; the target is 5 s.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import psycopg2
import pytest

from nyc_taxi.load.postgres.load import Postgres
from nyc_taxi.load.registry import open_destination
from nyc_taxi.local import postgres as embedded
from nyc_taxi.settings import load_settings
from nyc_taxi.transform.refined import RefinedMonth
from tests.support.builders import month_files
from tests.support.kill_points import checked
from tests.support.killed import resume, stopped_load
from tests.support.postgres_probe import RUN

SWAPS = 50
CONNECTIONS = 20
PER_SECOND = 200

BOUND = 20.0
"""Seconds: four times the target, for machines that do other work as well."""

(HOLDING_LOCKS,) = checked("nyc_taxi.load.postgres.ledger:add:call")

VERSIONS = {"v0": 500, "v1": 800}
QUERY = "SELECT source_version, count(*) FROM taxi.trips_green WHERE month = '2020-04-01' GROUP BY 1"


@dataclass
class Readers:
    """What the analysts see; made by `reading`."""

    finished: threading.Event = field(default_factory=threading.Event)
    waits: list[float] = field(default_factory=list)
    answers: set[tuple[tuple[str, int], ...]] = field(default_factory=set)

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Print the waits of this part, and check them."""
        self.waits.clear()
        began = time.monotonic()
        yield
        time.sleep(0.5)  # who waited until the end has its answer
        waits, seconds = sorted(self.waits), time.monotonic() - began
        print(  # noqa: T201
            f"\n{name}: {len(waits) / seconds:.0f} queries a second; longest wait {waits[-1]:.2f} s,"
            f" 99 % below {waits[len(waits) * 99 // 100]:.3f} s"
        )
        assert waits[-1] < BOUND

    def read(self, first: float) -> None:
        """Ask at regular times until the readers are finished."""
        due, connection = time.monotonic() + first, None
        while not self.finished.is_set():
            time.sleep(max(0.0, due - time.monotonic()))
            due = max(due + CONNECTIONS / PER_SECOND, time.monotonic())
            began, answer = time.monotonic(), None
            while answer is None and not self.finished.is_set():
                try:
                    connection = connection or psycopg2.connect("service=taxi", connect_timeout=5)
                    with connection, connection.cursor() as cursor:
                        cursor.execute(QUERY)
                        answer = tuple(cursor.fetchall())
                except psycopg2.Error:  # the server died, or starts
                    connection = None
                    time.sleep(0.02)
            if answer is not None:
                self.answers.add(answer)
                self.waits.append(time.monotonic() - began)


@contextlib.contextmanager
def reading() -> Iterator[Readers]:
    """Readers that ask until the end."""
    readers = Readers()
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        running = [pool.submit(readers.read, number / PER_SECOND) for number in range(CONNECTIONS)]
        try:
            yield readers
        finally:
            readers.finished.set()
        for each in running:
            each.result()


@pytest.fixture
def postgres(open_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Postgres]:
    """An embedded server of the test's own, to whose reader `service=taxi` leads."""
    monkeypatch.setenv("TAXI_WORKSPACE", str(open_folder))
    monkeypatch.setenv("POSTGRES_HOST", "")
    folder = open_folder / "postgres"
    monkeypatch.setenv("PGSERVICEFILE", str(embedded.ensure(folder).service_file))
    try:
        destination = open_destination("postgres", load_settings())
        assert isinstance(destination, Postgres)
        yield destination
    finally:
        embedded.stop(folder)


@pytest.mark.crash
@pytest.mark.skipif(sys.platform != "linux", reason="reads the state of a process from /proc")
def test_analysts_go_on(
    postgres: Postgres, open_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    months = [month_files(tmp_path / name, name, trips=trips) for name, trips in VERSIONS.items()]

    def load(turn: int) -> None:
        postgres.replace_month(RefinedMonth.of(months[turn % 2]), RUN)

    load(0)
    with capsys.disabled(), reading() as readers:
        with readers.part(f"{SWAPS} swaps"):
            for turn in range(1, SWAPS + 1):
                load(turn)
        with (
            readers.part("a loader stopped in the swap"),
            stopped_load("postgres", months[1], HOLDING_LOCKS) as loader,
        ):
            before = len(readers.waits)
            while len(readers.waits) < before + PER_SECOND:
                time.sleep(0.05)
            assert resume(loader) == 0
        with readers.part("a server killed, and started by the next load"):
            pid = (open_folder / "postgres/cluster/data/postmaster.pid").read_text().split()[0]
            os.kill(int(pid), signal.SIGKILL)
            load(0)
    assert readers.answers == {((version, trips),) for version, trips in VERSIONS.items()}
