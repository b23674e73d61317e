"""The scheduler at work: what fires, how often, for which month; and kill -9 in the midst of a run."""

from __future__ import annotations

import contextlib
import datetime as dt
import re
import time

import psycopg2
import pytest
import yaml

from nyc_taxi.load.registry import open_destination
from nyc_taxi.local import samples
from nyc_taxi.model.months import Month, Service, expected_last
from nyc_taxi.settings import load_settings
from tests.support.mage import copy_project, environment_of, running
from tests.support.servers import Fault, serve

pytestmark = [pytest.mark.mage, pytest.mark.slow]

BOTH = "postgres,duckdb"


def trigger(name, cron, **variables):
    """A trigger as in triggers.yaml that is switched on since long ago."""
    return {
        "name": name,
        "schedule_type": "time",
        "schedule_interval": cron,
        "start_time": dt.datetime(2024, 1, 1),
        "last_enabled_at": dt.datetime(2024, 1, 1, tzinfo=dt.UTC),
        "status": "active",
        "variables": {"destinations": BOTH, **variables},
        "settings": {"timeout": 300, "timeout_status": "failed", "skip_if_previous_running": True},
    }


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the project whose triggers are: the monthly one as it is, and one of every minute."""
    folder = copy_project(tmp_path_factory.mktemp("project"))
    file = folder / "pipelines" / "taxi_trips" / "triggers.yaml"
    from_outside = [
        each for each in yaml.safe_load(file.read_text())["triggers"] if each["schedule_type"] == "api"
    ]
    monthly = trigger("monthly green", "0 7 2 * *", service="green", source="sample:300:1")
    minutely = trigger("minutely", "* * * * *", service="yellow", month="2021-01", source="sample:300:1")
    file.write_text(yaml.safe_dump({"triggers": [monthly, minutely, *from_outside]}))
    return folder


@pytest.fixture
def place_of_mage(project, environment, mage_postgres):
    """The environment of a Mage that keeps what it knows of runs in Postgres."""
    with contextlib.closing(psycopg2.connect(mage_postgres.url)) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute("CREATE DATABASE mage")
    url = f"postgresql+psycopg2://{mage_postgres.user}:{mage_postgres.password}@{mage_postgres.host}:{mage_postgres.port}/mage"
    return {**environment_of(project, environment), "MAGE_DATABASE_CONNECTION_URL": url}


def facts(service, month):
    """What the ledgers of both destinations say: rows in and the run that loaded them."""
    rows = [open_destination(name, load_settings()).ledger_entry(service, month) for name in BOTH.split(",")]
    return [(row.rows_in, row.run_id, row.orchestrator) for row in rows if row]


def test_triggers_fire_once_and_a_killed_run_ends(project, place_of_mage, here, tmp_path, record_property):
    place = place_of_mage
    started = time.monotonic()
    with running(project, place) as mage, serve() as source:
        record_property("seconds to start", round(time.monotonic() - started, 1))
        # what was due while nobody was there runs once, for the month of its date, and not for those between
        first = mage.wait(
            lambda: [run for run in mage.runs() if run["pipeline_schedule_name"] == "monthly green"]
        )
        assert len(first) == 1
        due = dt.datetime.fromisoformat(first[0]["execution_date"]).date()
        assert due.day == 2
        done = mage.ended(first[0]["id"])
        assert done["status"] == "completed"
        assert facts(Service.GREEN, expected_last(due)) == [(300, str(done["id"]), "mage")] * 2
        log = mage.log(done["id"])
        about = f"[service=green month={expected_last(due)} run={done['id']}]"
        assert "300 rows in = " in log
        assert re.search(rf"clean_trips: \d+\.\d s {re.escape(about)}", log)
        assert log.count(f"taxi_trips: a block finished {about}") == 9

        minutely = mage.wait(
            lambda: [
                run
                for run in mage.runs()
                if run["pipeline_schedule_name"] == "minutely" and run["status"] == "completed"
            ]
        )
        assert facts(Service.YELLOW, Month(2021, 1))[0][1] == str(minutely[0]["id"])
        mage.call(
            "PUT",
            f"/pipeline_schedules/{mage.triggers()['minutely']['id']}",
            pipeline_schedule={"status": "inactive"},
        )

        # from outside, with the token of the environment alone
        outside = mage.triggers()["new file"]
        with pytest.raises(AssertionError, match="Invalid token"):
            mage.start(outside, token="guessed")
        path = tmp_path / "green_tripdata_2020-05.csv.gz"
        samples.write(Service.GREEN, Month(2020, 5), path, rows=400)
        url = source.put(f"/{path.name}", path.read_bytes())
        source.plan = [Fault(pause=1000)]
        request = {"service": "green", "month": "2020-05", "source": url, "destinations": BOTH}
        number = mage.start(outside, **request)
        mage.wait(lambda: source.sent)  # in the midst of the download
        mage.kill()
        source.go_on.set()
        assert facts(Service.GREEN, Month(2020, 5)) == []

        restarted = time.monotonic()
        with running(project, place) as again:
            done = again.ended(number)
            record_property(
                "seconds from restart to the end of the killed run", round(time.monotonic() - restarted, 1)
            )
            assert done["status"] == "completed"
            assert facts(Service.GREEN, Month(2020, 5)) == [(400, str(number), "mage")] * 2
            following = again.start(
                again.triggers()["new file"], **{**request, "month": "2020-06", "source": "sample:200:1"}
            )
            assert again.ended(following)["status"] == "completed"
            monthly = [run for run in again.runs() if run["pipeline_schedule_name"] == "monthly green"]
            assert len(monthly) == 1, "a restart does not fire it again"
            dates = [
                run["execution_date"] for run in again.runs() if run["pipeline_schedule_name"] == "minutely"
            ]
            assert len(dates) == len(set(dates)), "a minute fired twice"
