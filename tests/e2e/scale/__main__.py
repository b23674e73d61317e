"""Months over several workers that share nothing but the lake and the database: `make scale-test`.

Twelve generated months are published over HTTP. Two workers, and a third that joins in the middle, each with
a disk of its own, load them into Postgres and GCS. Workers are killed in the middle of tasks, lose their disk
after every refinement, and refine the same month at once. In the end every month must be in every
destination, equal to what one machine alone makes of it. The last line gives the figures.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import http.server
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psycopg2

from nyc_taxi.local import gcs, postgres, samples
from nyc_taxi.model.months import Month, Service, month_range
from tests.e2e.scale import tasks
from tests.e2e.scale.cluster import Cluster, Task
from tests.support.kill_points import checked

DESTINATIONS = ("postgres", "gcs")

KILLS = checked(
    "nyc_taxi.extract.fetch:fetch:return",
    "nyc_taxi.lake.raw:RawFiles._put:return",
    "nyc_taxi.transform.clean:clean_month:return",
    "nyc_taxi.transform.parquet:write_month:return",
    "nyc_taxi.lake.versions:Versions._add:call",
    "nyc_taxi.lake.object_store.gcs.store:GcsStore.put:return:2",
    "nyc_taxi.lake.versions:Versions._add:return",
    "nyc_taxi.lake.versions:Versions._download:return",
    "nyc_taxi.load.postgres.replace:replace_month:call",
    "nyc_taxi.lake.object_store.gcs.store:GcsStore.copy:return:2",
)
"""Where workers die, one in each month."""

_TASK_OF = ("download",) * 2 + ("refine",) * 5 + ("postgres",) * 2 + ("gcs",)


def main() -> int:
    """The command; its exit code: 0 if no month is wrong."""
    parser = argparse.ArgumentParser(prog="make scale-test", description=__doc__)
    parser.add_argument("--months", type=int, default=12)
    parser.add_argument("--rows", type=int, default=20_000)
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="nyc-taxi-scale-"))
    folder.chmod(0o711)  # the database's account enters it
    try:
        return _scale(folder, given.months, given.rows)
    finally:
        gcs.stop(folder / "gcs")
        postgres.stop(folder / "postgres")
        shutil.rmtree(folder, ignore_errors=True)


def _scale(folder: Path, count: int, rows: int) -> int:
    months = [str(month) for month in month_range(Month(2020, 1), Month(2020, 1) + (count - 1))]
    with _published(folder / "site", months, rows) as url:
        database, bucket = postgres.ensure(folder / "postgres"), gcs.ensure(folder / "gcs")
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("TAXI_")},
            **database.environment(),
            **bucket.environment(),
            "TAXI_LAKE": "gcs",
            "NO_PROXY": "127.0.0.1",
        }
        os.environ.clear()
        os.environ.update(environment)
        started = time.monotonic()
        cluster = Cluster(folder / "workers", environment)
        cluster.join("one")
        cluster.join("two")
        cluster.join("three", after=2 * count)
        checks: dict[str, Any] = {}
        cluster.run([_month(number, month, url, checks) for number, month in enumerate(months)])
        seconds = time.monotonic() - started
        wrong = [
            month
            for month in months
            if not _is_right(folder, month, checks.get(month), database.url, bucket.url)
        ]
        total = _count(database.url)
    for failure in cluster.failures:
        sys.stderr.write(f"{failure}\n")
    shares = ", ".join(f"{worker} {done}" for worker, done in cluster.done.items())
    sys.stdout.write(f"tasks by worker: {shares}; disks wiped: {cluster.wipes}\n")
    sys.stdout.write(
        f"months {count}, kills {cluster.kills}, workers {len(cluster.done)}, rows {total:,},"
        f" seconds {seconds:.1f}, wrong months {len(wrong)}{': ' * bool(wrong)}{', '.join(wrong)}\n"
    )
    return 1 if wrong or cluster.failures or cluster.kills < min(count, len(KILLS)) else 0


def _month(number: int, month: str, url: str, checks: dict[str, Any]) -> Task:
    """The first task of a month, which makes the next ones ready.

    Two workers refine it at once, unless one is to be killed then: the other could leave it nothing to do.
    """
    kill = KILLS[number] if number < len(KILLS) else None
    dies = _TASK_OF[number] if kill else ""
    lock, left = threading.Lock(), set(DESTINATIONS)

    def killed(task: str) -> str | None:
        return kill if task == dies else None

    def loaded(destination: str, files: dict[str, Any], _: Any) -> list[Task]:
        with lock:
            left.discard(destination)
            if left or month in checks:
                return []
            checks[month] = None
        values = {"files": files, "destinations": list(DESTINATIONS)}
        return [Task("check", values, then=lambda versions: checks.update({month: versions}) or [])]

    def refined(files: dict[str, Any]) -> list[Task]:
        return [
            Task(
                "load",
                {"files": files, "destination": name},
                killed(name),
                partial(loaded, name, files),
            )
            for name in DESTINATIONS
        ]

    def downloaded(file: dict[str, Any]) -> list[Task]:
        first = Task("refine", {"file": file}, killed("refine"), refined)
        return [first] if dies == "refine" else [first, Task("refine", {"file": file})]

    return Task("download", {"month": month, "source": url}, killed("download"), downloaded)


def _is_right(folder: Path, month: str, versions: Any, database: str, bucket: str) -> bool:
    """Whether each destination holds what one machine alone makes of the month."""
    version, trips, sha256 = tasks.reference_month(folder / "site", month, folder / "alone")
    objects = {}
    for name in sha256:
        path = f"{name.removesuffix('.parquet')}/service=green/month={month}/{name}"
        answer = httpx.get(f"{bucket}/taxi/{path}", trust_env=False)
        objects[name] = hashlib.sha256(answer.content).hexdigest()
    right = versions == dict.fromkeys(DESTINATIONS, version) and objects == sha256
    return right and _count(database, month) == trips


def _count(database: str, month: str | None = None) -> int:
    """The trips of a month, or of all, in Postgres."""
    condition = f" WHERE month = '{month}-01'" if month else ""
    with contextlib.closing(psycopg2.connect(database)) as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM taxi.trips_green{condition}")
        [[count]] = cursor.fetchall()
        return int(count)


@contextlib.contextmanager
def _published(folder: Path, months: list[str], rows: int) -> Iterator[str]:
    """Generated months behind a URL."""
    folder.mkdir()
    for month in months:
        samples.write(Service.GREEN, Month.parse(month), folder / f"green_tripdata_{month}.csv.gz", rows)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    handler = partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


if __name__ == "__main__":
    sys.exit(main())
