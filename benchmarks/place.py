"""The benchmark's own Postgres and GCS servers, in a temporary folder."""

from __future__ import annotations

import contextlib
import functools
import http.server
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
from dotenv import dotenv_values

from benchmarks.contenders import SCHEMA
from benchmarks.measure import Failed
from nyc_taxi.errors import TaxiError
from nyc_taxi.local import gcs, postgres
from nyc_taxi.local.postgres import superuser_url
from nyc_taxi.settings import PROJECT


@dataclass
class Place:
    """The servers, and the folder for all output."""

    folder: Path
    postgres: postgres.Server
    gcs: gcs.Server
    files_url: str
    """Base URL of the months' folder."""
    runs: int = 0
    """Number of runs so far; each has its own prefix in the bucket."""

    @property
    def workspace(self) -> Path:
        """The workspace of the current run."""
        return self.folder / "workspace"

    @property
    def warehouse(self) -> Path:
        """The DuckDB file of the current run."""
        return self.folder / "warehouse.duckdb"

    @property
    def prefix(self) -> str:
        """The bucket folder of the current run."""
        return f"run-{self.runs}"

    def environment(self) -> dict[str, str]:
        """Return a child's environment: the servers, otherwise the project's defaults, not the caller's."""
        kept = {name: value for name, value in os.environ.items() if name not in _UNWANTED}
        return {
            **kept,
            **dict.fromkeys(dotenv_values(PROJECT / ".env.example"), ""),  # empty values override .env
            **self.postgres.environment(),
            **self.gcs.environment(),
            "GCS_PREFIX": self.prefix,
            "DUCKDB_DATABASE": str(self.warehouse),
            "TAXI_WORKSPACE": str(self.workspace),
            "MAGE_DATA_DIR": str(self.folder / "mage"),
            "DISABLE_AUTO_BROWSER_OPEN": "1",
            "RUNTIME__DLTHUB_TELEMETRY": "false",  # dlt would send telemetry
            **dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1,localhost"),
            "COLUMNS": "200",  # keeps the line of step times unwrapped
        }

    def reset(self) -> None:
        """Empty everything that a run loads into, and sync the disk."""
        self.runs += 1
        shutil.rmtree(self.workspace, ignore_errors=True)
        self.warehouse.unlink(missing_ok=True)
        self.sql(f"DROP SCHEMA IF EXISTS {SCHEMA}, taxi CASCADE")
        self.sql(f"CREATE SCHEMA {SCHEMA} AUTHORIZATION {self.postgres.user}")
        self.sql("CHECKPOINT")
        os.sync()

    @contextlib.contextmanager
    def limited_to(self, cores: int) -> Iterator[None]:
        """Give children of this process and new sessions of Postgres the first `cores` cores; 0: all."""
        if not cores:
            yield
            return
        if not hasattr(os, "sched_setaffinity"):
            raise Failed("only Linux limits a process to some cores")
        folder = Path(self.sql("SHOW data_directory")[0][0])
        postmaster = int((folder / "postmaster.pid").read_text().splitlines()[0])
        allowed = {pid: os.sched_getaffinity(pid) for pid in (os.getpid(), postmaster)}
        try:
            for pid, available in allowed.items():
                os.sched_setaffinity(pid, sorted(available)[:cores])
            yield
        finally:
            for pid, available in allowed.items():
                os.sched_setaffinity(pid, available)

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        """Run one statement as the superuser and return its rows."""
        with contextlib.closing(psycopg2.connect(superuser_url(self.postgres))) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []

    def rows(self, table: str) -> int:
        """Return the number of rows of a Postgres table."""
        return int(self.sql(f"SELECT count(*) FROM {table}")[0][0])

    def warehouse_rows(self, table: str) -> int:
        """Return the number of rows of a warehouse table; a child queries it, to keep this process small."""
        code = "import duckdb, sys; print(duckdb.connect(sys.argv[1]).table(sys.argv[2]).shape[0])"
        command = [sys.executable, "-c", code, str(self.warehouse), table]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    def uploaded(self) -> dict[str, int]:
        """Return the sizes of the current run's objects, by the last part of their names."""
        url = f"{self.gcs.url}/storage/v1/b/{self.gcs.bucket}/o?prefix={self.prefix}/"
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=30) as answer:
            items = json.load(answer).get("items", [])
        return {item["name"].rpartition("/")[2]: int(item["size"]) for item in items}


ARROW_POOL = "ARROW_DEFAULT_MEMORY_POOL"
_UNWANTED = ("PYTHONDONTWRITEBYTECODE", "POSTGRES_SCHEMA", "STORAGE_EMULATOR_HOST", ARROW_POOL)
"""Variables to remove: modules stay compiled, as on a second run; only ours sets Arrow's pool."""


@contextlib.contextmanager
def place(months: Path, needed: int) -> Iterator[Place]:
    """Run the servers in a new temporary folder with `needed` free bytes; serves `months` over HTTP."""
    folder = Path(tempfile.mkdtemp(prefix="nyc-taxi-bench-"))
    folder.chmod(0o711)  # the Postgres server runs as another account when this is root's
    try:
        free = shutil.disk_usage(folder).free
        if free < needed:
            raise TaxiError(
                f"{folder.parent}: {needed / 1e9:.0f} GB are needed there and {free / 1e9:.0f} GB are free:"
                " set TMPDIR to another folder."
            )
        with _served(months) as url:
            yield Place(folder, postgres.ensure(folder / "postgres"), gcs.ensure(folder / "gcs"), url)
    finally:
        postgres.stop(folder / "postgres")
        gcs.stop(folder / "gcs")
        shutil.rmtree(folder, ignore_errors=True)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def _served(folder: Path) -> Iterator[str]:
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
