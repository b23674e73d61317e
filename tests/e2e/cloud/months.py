"""What every destination promises of months, tried by the command line as a user runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nyc_taxi.lake.object_store.store import PART_BYTES, Store
from nyc_taxi.load.object_store.layout import data_key
from nyc_taxi.model.months import Month, Service
from tests.e2e.cloud.steps import StepFailed, Steps

CONTESTED = "2018-05"
"""A month of two versions at once: the bucket may hold one of them while BigQuery loads the other."""

TAXI = (sys.executable, "-c", "from nyc_taxi.cli import main; main()")


@dataclass
class Months:
    """Generated months in destinations, each by a worker with a workspace of its own."""

    destinations: str
    environment: dict[str, str]
    """Leads to the destinations, and to the lake in the bucket."""
    store: Store
    """The bucket."""
    folder: Path
    left: Callable[[], float]
    """Seconds until commands are given up."""
    parallel: int = 8
    """How many months are loaded at once."""
    large_rows: int = 600_000
    """Of a month by resumable or multipart upload."""
    running: set[subprocess.Popen[str]] = field(default_factory=set)

    def take(self, steps: Steps) -> None:
        """All steps."""
        steps.take("a month is loaded", self.load)
        steps.take("loading it again changes nothing", self.load_again)
        steps.take("another version replaces it", self.replace)
        steps.take("a worker without files rebuilds it from the lake", self.rebuild)
        steps.take("two versions of one month at once", self.load_twice_at_once)
        steps.take(f"{self.parallel} months at once", self.load_in_parallel)
        steps.take("a month by resumable or multipart upload", self.load_large)
        steps.take("a run is killed, and the next one continues", self.kill_and_continue)

    def load(self) -> str:
        self.run("2018-04", "sample:2000:1")
        return self.verify("2018-04")

    def load_again(self) -> str:
        before = self.entries("2018-04")
        self.run("2018-04", "sample:2000:1")
        if self.entries("2018-04") != before:
            raise StepFailed("the ledgers have changed")
        return "the ledgers are as before"

    def replace(self) -> str:
        before = self.versions("2018-04")
        self.run("2018-04", "sample:2100:2")
        if self.versions("2018-04") & before:
            raise StepFailed(f"a destination still holds {before}")
        return self.verify("2018-04")

    def rebuild(self) -> str:
        before = self.versions("2018-04")
        self.run("2018-04", "lake", "--force", worker="fresh")
        if self.versions("2018-04") != before:
            raise StepFailed(f"{self.versions('2018-04')} instead of {before}")
        return self.verify("2018-04")

    def load_twice_at_once(self) -> str:
        return self.load_at_once(
            [self.begin(CONTESTED, f"sample:{rows}:1", worker=f"of-{rows}") for rows in (2000, 2100)],
            [CONTESTED],
        )

    def load_in_parallel(self) -> str:
        months = [str(Month(2016, 1) + number) for number in range(self.parallel)]
        return self.load_at_once(
            [self.begin(month, "sample:2000:1", worker=f"of-{month}") for month in months], months
        )

    def load_at_once(self, runs: Sequence[subprocess.Popen[str]], months: Sequence[str]) -> str:
        started = time.monotonic()
        for run in runs:
            self.end(run)
        seconds = time.monotonic() - started
        results = {self.verify(month) for month in months}
        return f"{seconds:.0f} s; of each month {' and '.join(sorted(results))}"

    def load_large(self) -> str:
        self.run("2018-06", f"sample:{self.large_rows}:1")
        stored = self.store.head(data_key("trips", Service.GREEN, Month(2018, 6)))
        if stored is None or stored.size <= PART_BYTES:
            raise StepFailed("its Parquet is small enough for a single upload; use more rows")
        return f"{stored.size:,} bytes; {self.verify('2018-06')}"

    def kill_and_continue(self) -> str:
        """Killed as soon as the month's first object is in the bucket."""
        run, sent = self.begin("2018-07", "sample:50000:1"), 0
        while run.poll() is None and not sent and self.left() > 1:
            sent = len(self.objects("2018-07"))
        self.kill(run)
        if not sent or run.returncode != -signal.SIGKILL:
            raise StepFailed(f"the run left {sent} objects and ended with exit code {run.returncode}")
        self.run("2018-07", "sample:50000:1")
        return f"killed after {sent} of {len(self.objects('2018-07'))} objects; {self.verify('2018-07')}"

    def run(self, month: str, source: str, *options: str, worker: str = "one") -> str:
        """`taxi run`; its messages."""
        return self.end(self.begin(month, source, *options, worker=worker))[1]

    def begin(self, month: str, source: str, *options: str, worker: str = "one") -> subprocess.Popen[str]:
        """`taxi run` in a workspace, still running."""
        arguments = ("run", "green", month, "--source", source, "--accept", *options)
        return self.start(*arguments, worker=worker)

    def taxi(self, *arguments: str) -> str:
        """Any other command; what it printed."""
        return self.end(self.start(*arguments))[0]

    def start(self, *arguments: str, worker: str = "one") -> subprocess.Popen[str]:
        """A command, still running."""
        environment = {**self.environment, "TAXI_DESTINATIONS": self.destinations}
        environment["TAXI_WORKSPACE"] = str(self.folder / worker)
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            [*TAXI, *arguments], env=environment, stdout=pipe, stderr=pipe, text=True, start_new_session=True
        )
        self.running.add(process)
        return process

    def end(self, process: subprocess.Popen[str]) -> tuple[str, str]:
        """Wait for a command; its output and messages. Raises StepFailed with its last words."""
        try:
            output, errors = process.communicate(timeout=self.left())
        except subprocess.TimeoutExpired:
            self.kill(process)
            raise StepFailed(f"{process.args!r} did not end in time") from None
        if process.returncode:
            words = " ".join((errors.strip() or output.strip()).split())
            raise StepFailed(words.rpartition("taxi: ")[2][-500:])
        return output, errors

    def kill(self, process: subprocess.Popen[str]) -> None:
        """End a command and what it has started at once, if it still runs."""
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()

    def stop(self) -> None:
        """Kill the commands that a failed or interrupted step has left, before their bucket is deleted."""
        for process in self.running:
            self.kill(process)

    def verify(self, month: str) -> str:
        """`taxi verify`; raises StepFailed if the data is not what the ledgers say."""
        return self.taxi("verify", "green", month).strip().splitlines()[-1]

    def verify_in(self, destination: str, month: str) -> str:
        """The same in one destination."""
        return self.taxi("verify", "green", month, "--to", destination).strip().splitlines()[-1]

    def entries(self, month: str) -> dict[str, Any]:
        """What `taxi status` says of a month, by destination."""
        listed = json.loads(self.taxi("status", "--json"))
        held = next((item["destinations"] for item in listed if item["month"] == month), {})
        if held.keys() != set(self.destinations.split(",")):
            raise StepFailed(f"{month} is recorded in {', '.join(held) or 'no destination'}")
        return dict(held)

    def objects(self, month: str) -> list[str]:
        """The keys of a month's objects, of the lake and of the destination."""
        return [key for key in self.store.keys("") if f"/month={month}/" in key]

    def versions(self, month: str) -> set[str]:
        """The versions that the destinations hold: one, if all is well."""
        versions = {entry["version"] for entry in self.entries(month).values()}
        if len(versions) != 1:
            raise StepFailed(f"{month} has the versions {', '.join(versions)}")
        return versions
