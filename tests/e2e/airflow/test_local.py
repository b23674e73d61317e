"""A real Airflow on this machine: its pages, REST API, scheduler and workers."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import psycopg2
import pytest

from launchers.airflow import up
from nyc_taxi.errors import SettingsError
from nyc_taxi.load.registry import open_destination
from nyc_taxi.local import postgres
from nyc_taxi.local.process import free_port
from nyc_taxi.settings import load_settings
from tests.e2e.airflow.conftest import ledgers, plain_environment, put
from tests.support.modes import readable_by_others
from tests.support.waiting import until


def test_pages_show_every_dag_with_its_docs(airflow):
    assert "<html" in httpx.get(airflow.url).text
    dags = [dag["dag_id"] for dag in airflow.client.get("/dags").json()["dags"]]
    for dag in dags:
        details = airflow.client.get(f"/dags/{dag}/details").json()
        assert details["doc_md"].strip().startswith("### ")
        assert details["description"]
    assert airflow.client.get("/importErrors").json()["total_entries"] == 0


def test_others_read_no_file_of_airflow_and_write_none(airflow):
    """Database, keys, passwords, logs and settings."""
    for path in (each for each in airflow.home.iterdir() if each not in (airflow.workspace, airflow.inbox)):
        assert path.lstat().st_mode & 0o022 == 0
        if path.is_dir():
            assert set(readable_by_others(path)) <= {"lock", "alive"}
        elif path.name != "ui.lock":  # says who started it
            assert path.lstat().st_mode & 0o077 == 0, path.name


def test_a_run_asked_for_twice_runs_once(airflow, inside):
    put(airflow.inbox, "2021-01", 300)
    conf = {"service": "green", "month": "2021-01"}
    assert airflow.trigger("taxi_ingest", "taxi__green__2021-01", **conf).status_code == 200
    assert airflow.trigger("taxi_ingest", "taxi__green__2021-01", **conf).status_code == 409
    assert airflow.trigger("taxi_ingest", "other", service="blue").status_code == 400
    assert airflow.wait("taxi_ingest", "taxi__green__2021-01") == "success"
    assert all(rows_in["2021-01"] == 300 for rows_in in ledgers(airflow, inside).values())


def test_a_backfill_loads_a_range_of_months(airflow, inside):
    """Real months where there are some: six of them, 532,807 rows."""
    real = os.environ.get("TAXI_REAL_DATA")
    folder = Path(real) / "nyc-tlc-data" if real else airflow.inbox
    months = [f"2020-0{number}" for number in (range(3, 9) if real else range(3, 5))]
    if not real:
        for month in months:
            put(folder, month, 200)
    airflow.command(
        *("backfill", "create", "--dag-id", "taxi_monthly", "--max-active-runs", "2"),
        *("--from-date", f"{months[0]}-01", "--to-date", f"{months[-1]}-28"),
        *("--dag-run-conf", json.dumps({"services": "green", "source": str(folder)})),
    )
    runs = [run for run in airflow.runs("taxi_monthly") if run.startswith("backfill__")]
    assert len(runs) == len(months)
    assert [airflow.wait("taxi_monthly", run) for run in runs] == ["success"] * len(runs)
    for rows_in in ledgers(airflow, inside).values():
        assert sum(rows_in[month] for month in months) == (532_807 if real else 400)


def test_months_that_come_late_or_change_are_loaded_once_each(airflow, inside):
    conf = {"services": "green", "since": "2021-06", "destinations": "duckdb"}
    put(airflow.inbox, "2021-06", 200)

    def started(poll):
        """The runs of taxi_ingest that a poll adds, ended."""
        before = airflow.runs("taxi_ingest").keys()
        assert airflow.trigger("taxi_late_data", poll, **conf).status_code == 200
        assert airflow.wait("taxi_late_data", poll) == "success"
        new = sorted(airflow.runs("taxi_ingest").keys() - before)
        assert [airflow.wait("taxi_ingest", run) for run in new] == ["success"] * len(new)
        return [run.rpartition("__")[0] for run in new]

    assert started("poll-1") == ["taxi__green__2021-06"]
    assert started("poll-2") == []
    put(airflow.inbox, "2021-07", 200)
    put(airflow.inbox, "2021-06", 300, seed=2)
    assert started("poll-3") == ["taxi__green__2021-06", "taxi__green__2021-07"]
    assert started("poll-4") == []
    inside(airflow.workspace)
    rows_in = {
        str(row.month): row.rows_in for row in open_destination("duckdb", load_settings()).ledger_entries()
    }
    assert (rows_in["2021-06"], rows_in["2021-07"]) == (300, 200)


def test_a_worker_killed_in_the_midst_of_a_load_leaves_no_trace(airflow, inside):
    """The load stands in its transaction when the worker dies; the retry loads the month, once."""
    inside(airflow.workspace)
    open_destination("postgres", load_settings()).ledger_entries()  # makes the ledger
    put(airflow.inbox, "2021-09", 400)
    url = postgres.ensure(airflow.workspace / "postgres").url
    with contextlib.closing(psycopg2.connect(url)) as other, other.cursor() as cursor:
        cursor.execute("LOCK TABLE taxi.ledger IN EXCLUSIVE MODE")  # may be read, not written
        conf = {"service": "green", "month": "2021-09", "destinations": "postgres,duckdb"}
        assert airflow.trigger("taxi_ingest", "killed", **conf).status_code == 200
        until(lambda: waits_for_a_lock(url), seconds=300)
        task = airflow.task("taxi_ingest", "killed", "load", "postgres")
        assert task["state"] == "running"
        parent = subprocess.run(
            ["ps", "-o", "ppid=", "-p", str(task["pid"])], capture_output=True, check=True
        )
        for process in (int(parent.stdout), task["pid"]):
            os.kill(process, signal.SIGKILL)
        other.rollback()
    assert airflow.wait("taxi_ingest", "killed") == "success"
    assert airflow.task("taxi_ingest", "killed", "load", "postgres")["try_number"] == 2
    with contextlib.closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*), min(rows_in) FROM taxi.ledger WHERE month = '2021-09-01'")
        assert cursor.fetchone() == (1, 400)
        cursor.execute(
            "SELECT (SELECT count(*) FROM taxi.trips_green WHERE month = '2021-09-01')"
            " + (SELECT count(*) FROM taxi.quarantine_green WHERE month = '2021-09-01')"
        )
        assert cursor.fetchone() == (400,)


def test_a_run_that_hangs_holds_up_no_other(airflow):
    """Its source accepts connections and does not answer."""
    zones = airflow.inbox / "zones.csv"
    zones.write_text("LocationID,Borough,Zone,service_zone\n1,EWR,Newark Airport,EWR\n")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/zones.csv"
        airflow.trigger("zone_lookup", "hangs", source=url, destinations="duckdb").raise_for_status()
        with silent.accept()[0]:
            by_hand = {"source": str(zones), "destinations": "duckdb"}
            airflow.trigger("zone_lookup", "by-hand", **by_hand).raise_for_status()
            assert airflow.wait("zone_lookup", "by-hand") == "success"
            assert airflow.runs("zone_lookup")["hangs"] == "running"
        failed = {"state": "failed"}
        airflow.client.patch("/dags/zone_lookup/dagRuns/hangs", json=failed).raise_for_status()


def test_a_second_airflow_on_the_same_folder_is_refused_before_anything_starts(airflow):
    with (
        pytest.raises(SettingsError, match=rf"already running on {airflow.home}, at {airflow.url}: use it"),
        up.running(airflow.home, free_port()),
    ):
        pass
    assert httpx.get(f"{airflow.url}/api/v2/monitor/health").json()["scheduler"]["status"] == "healthy"


def test_a_port_of_another_program_is_refused(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(SettingsError, match=f"Port {port} is taken"), up.running(tmp_path / "home", port):
            pass


COMMAND = """
import contextlib, subprocess, sys
from launchers.airflow import up

@contextlib.contextmanager
def running(home, port, workers):
    with subprocess.Popen(["sleep", "60"]) as scheduler:
        try:
            yield up.Airflow("", "", {}, {"scheduler": scheduler})
        finally:
            scheduler.kill()

up.running = running  # starts no Airflow
sys.argv = ["up"]
sys.exit(up.main())
"""


@pytest.mark.parametrize(
    ("hangup", "sent"),
    [
        (signal.SIG_DFL, [signal.SIGTERM]),
        (signal.SIG_DFL, [signal.SIGHUP]),
        (signal.SIG_IGN, [signal.SIGHUP, signal.SIGTERM]),  # under nohup
    ],
)
def test_a_closed_terminal_stops_airflow_in_order(hangup, sent):
    *survived, last = sent
    with subprocess.Popen(
        [sys.executable, "-c", COMMAND],
        env=plain_environment(),
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, hangup),
    ) as command:
        until(lambda: "Ctrl-C stops it" in command.stderr.readline())
        for number in survived:
            command.send_signal(number)
            with pytest.raises(subprocess.TimeoutExpired):
                command.wait(1)
        command.send_signal(last)
        assert command.wait(30) == 0
        assert command.stderr.read().endswith("Airflow is stopped.\n")


def waits_for_a_lock(url):
    with contextlib.closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'taxi.ledger'::regclass"
        )
        return cursor.fetchone()[0] > 0
