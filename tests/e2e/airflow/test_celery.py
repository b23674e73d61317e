"""Months over several workers: two of Celery, each with its own disk; they share bucket and databases."""

from __future__ import annotations

import shutil

import pytest

from launchers.airflow import celery
from nyc_taxi.errors import SettingsError
from tests.e2e.airflow.conftest import ledgers, local_airflow, put

MONTHS = ("2020-03", "2020-04")


@pytest.mark.skipif(not shutil.which("redis-server"), reason="redis-server is not on PATH")
def test_a_backfill_is_shared_by_two_workers(place, inside):
    with local_airflow(place / "celery", workers=2) as airflow:
        for month in MONTHS:
            put(airflow.inbox, month, 200)
        request = {
            "dag_id": "taxi_monthly",
            "from_date": f"{MONTHS[0]}-01T00:00:00Z",
            "to_date": f"{MONTHS[-1]}-28T00:00:00Z",
            "max_active_runs": 4,
            "dag_run_conf": {"services": "green"},
        }
        airflow.client.post("/backfills", json=request).raise_for_status()
        runs = [run for run in airflow.runs("taxi_monthly") if run.startswith("backfill__")]
        assert len(runs) == len(MONTHS)
        assert [airflow.wait("taxi_monthly", run) for run in runs] == ["success"] * len(runs)
        for rows_in in ledgers(airflow, inside).values():
            assert [rows_in[month] for month in MONTHS] == [200] * len(MONTHS)
        done = [
            (airflow.home / f"worker-{number}.log").read_text().count("] succeeded in ") for number in (1, 2)
        ]
        assert sum(done) >= 5 * len(MONTHS)
        assert min(done) > 0, f"tasks by worker: {done}"
        workspaces = [airflow.home / f"worker-{number}" / "workspace" for number in (1, 2)]
        assert any((own / "copies").exists() for own in workspaces)  # of the one that loads a month
        assert not [path for own in workspaces for path in (own / "scratch").glob("*")]
        assert not (airflow.workspace / "lake").exists()


def test_without_redis_one_sentence_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SettingsError, match=r"redis-server is not on PATH: install it"):
        celery.broker(tmp_path)
