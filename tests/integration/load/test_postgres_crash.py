"""Whatever is killed, and whenever: the month is as it was, and the next run completes it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from nyc_taxi.load.postgres.config import PostgresConfig
from nyc_taxi.load.postgres.load import Postgres
from nyc_taxi.local import postgres as embedded
from nyc_taxi.settings import load_settings
from nyc_taxi.transform.refined import RefinedMonth
from tests.support.builders import month_files
from tests.support.postgres_probe import RUN, query


def test_a_connection_cut_inside_copy_is_made_again(postgres: PostgresConfig, tmp_path: Path) -> None:
    destination, cuts = Postgres(postgres), []
    destination.replace_month(RefinedMonth.of(month_files(tmp_path, "v1")), RUN)

    def cut_once(done: int, total: int) -> None:
        if not cuts:
            cuts.append(done)
            ended = query(
                postgres,
                "SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity"
                " WHERE application_name = 'nyc_taxi' AND datname = current_database()",
            )
            assert ended == [(True,)]

    entry = destination.replace_month(
        RefinedMonth.of(month_files(tmp_path, "v2", trips=50_000)), RUN, cut_once
    )
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
        destination = Postgres.from_settings(load_settings())
        march = destination.replace_month(RefinedMonth.of(month_files(tmp_path, month="2020-03")), RUN)
        april = destination.replace_month(
            RefinedMonth.of(month_files(tmp_path, trips=50_000)), RUN, kill_once
        )
        assert killed
        assert destination.ledger_entries() == [march, april]
    finally:
        embedded.stop(folder)
