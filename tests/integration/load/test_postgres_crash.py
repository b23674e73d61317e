"""Whatever is killed, and whenever: the month is as it was, and the next run completes it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from nyc_taxi.load.postgres.config import PostgresConfig
from nyc_taxi.load.postgres.load import Postgres
from nyc_taxi.local import postgres as embedded
from nyc_taxi.settings import PROJECT, load_settings
from nyc_taxi.transform.refined import RefinedMonth
from tests.support.builders import month_files
from tests.support.postgres_probe import RUN, query, state
from tests.support.waiting import until

LOADER = """
import json, sys
from nyc_taxi.model.run import Run
from nyc_taxi.load.postgres import replace
from nyc_taxi.load.postgres.load import Postgres
from nyc_taxi.model.references import MonthFiles
from nyc_taxi.settings import load_settings
from nyc_taxi.transform.refined import RefinedMonth

def pause(*_):
    print("paused", flush=True)
    sys.stdin.read()

def pausing(name):
    original = getattr(replace, name)
    def then_pause(*arguments):
        result = original(*arguments)
        pause()
        return result
    setattr(replace, name, then_pause)

files, point = MonthFiles.from_dict(json.loads(sys.argv[1])), sys.argv[2]
if point != "COPY":
    pausing(point)
postgres, month = Postgres.from_settings(load_settings()), RefinedMonth.of(files)
postgres.replace_month(month, Run("killed", "cli"), pause if point == "COPY" else None)
"""


@pytest.mark.parametrize("before", ["v1", None])
@pytest.mark.parametrize("point", ["COPY", "_stage", "_swap"])
def test_a_killed_load_leaves_no_trace(
    postgres: PostgresConfig, tmp_path: Path, point: str, before: str | None
) -> None:
    """Killed inside COPY, after loading and before the swap, after the swap and before the ledger's row."""
    there = Postgres(postgres)
    there.replace_month(
        RefinedMonth.of(month_files(tmp_path, before or "v1", month="2020-04" if before else "2020-03")), RUN
    )
    was = state(postgres)
    files = month_files(tmp_path, "v2", trips=9)

    command = [sys.executable, "-c", LOADER, json.dumps(files.to_dict()), point]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=PROJECT
    ) as loader:
        assert loader.stdout
        assert loader.stdout.readline() == "paused\n"
        assert there.ledger_entry(files.service, files.month) == (
            there.ledger_entries()[0] if before else None
        )
        loader.send_signal(signal.SIGKILL)

    until(lambda: query(postgres, "SELECT FROM pg_stat_activity WHERE application_name = 'nyc_taxi'") == [])
    assert state(postgres) == was
    entry = there.replace_month(RefinedMonth.of(files), RUN)
    assert there.ledger_entry(files.service, files.month) == entry
    found = query(postgres, "SELECT count(*) FROM trips_green WHERE source_version = 'v2'")
    assert found == [(9,)]
    leftovers = query(
        postgres,
        "SELECT relname FROM pg_class WHERE relname LIKE '%new%' AND relnamespace = 'taxi'::regnamespace",
    )
    assert leftovers == []


def test_a_connection_cut_inside_copy_is_made_again(postgres: PostgresConfig, tmp_path: Path) -> None:
    there, cuts = Postgres(postgres), []
    there.replace_month(RefinedMonth.of(month_files(tmp_path, "v1")), RUN)

    def cut_once(done: int, total: int) -> None:
        if not cuts:
            cuts.append(done)
            ended = query(
                postgres,
                "SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity"
                " WHERE application_name = 'nyc_taxi' AND datname = current_database()",
            )
            assert ended == [(True,)]

    entry = there.replace_month(RefinedMonth.of(month_files(tmp_path, "v2", trips=50_000)), RUN, cut_once)
    assert cuts
    assert entry.rows_loaded == 50_000
    assert query(postgres, "SELECT version FROM ledger ORDER BY id") == [("v1",), ("v2",)]
    assert query(postgres, "SELECT count(*) FROM trips_green") == [(50_000,)]


def test_a_killed_embedded_server_is_started_again_and_loses_nothing(
    open_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAXI_WORKSPACE", str(open_folder))
    monkeypatch.setenv("POSTGRES_HOST", "")
    folder, killed = open_folder / "postgres", []

    def kill_once(done: int, total: int) -> None:
        if not killed:
            killed.append(done)
            pid = (folder / "cluster/data/postmaster.pid").read_text().split()[0]
            os.kill(int(pid), signal.SIGKILL)

    try:
        there = Postgres.from_settings(load_settings())
        march = there.replace_month(RefinedMonth.of(month_files(tmp_path, month="2020-03")), RUN)
        april = there.replace_month(RefinedMonth.of(month_files(tmp_path, trips=50_000)), RUN, kill_once)
        assert killed
        assert there.ledger_entries() == [march, april]
    finally:
        embedded.stop(folder)
