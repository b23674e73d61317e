"""Each DAG run for real, as `airflow dags test` runs it, against embedded servers and emulators."""

from __future__ import annotations

import functools
import html
import json
import re
from pathlib import Path

import duckdb
import pytest

from nyc_taxi.load.registry import open_destination
from nyc_taxi.local import gcs
from nyc_taxi.local.samples import write
from nyc_taxi.model.months import Month, Service
from nyc_taxi.settings import load_settings
from tests.e2e.airflow.conftest import stop_servers, taxi
from tests.support import google_apis
from tests.support.bikeshare import NEXT, lines, trip
from tests.support.mailbox import mailbox

SAMPLE = {"service": "green", "month": "2020-04", "source": "sample:300:1"}


@pytest.fixture(scope="module", autouse=True)
def servers(place):
    yield
    stop_servers(place / "workspace")


@pytest.fixture
def ledger(place, inside):
    """What the ledger of a destination says, by month."""

    def look(name):
        inside(place / "workspace")
        return {str(row.month): row for row in open_destination(name, load_settings()).ledger_entries()}

    return look


@pytest.fixture
def mails():
    """A mail server; `mails.environment` leads tasks to it."""
    with mailbox() as box:
        yield box


def events(log, name):
    """The lines of JSON about one kind of event."""
    parsed = [json.loads(match) for match in re.findall(r'\{"taxi_event".*?\}(?= \[|$)', log, re.MULTILINE)]
    return [event for event in parsed if event["taxi_event"] == name]


def test_a_month_is_in_every_destination_asked_for(run_dag, ledger):
    log = run_dag("taxi_ingest", json.dumps({**SAMPLE, "destinations": "gcs,postgres,duckdb"}))
    [month] = events(log, "month")
    assert month["rows"] == 300
    for name in ("gcs", "postgres", "duckdb"):
        row = ledger(name)["2020-04"]
        assert (row.version, row.rows_in, row.orchestrator) == (month["version"], 300, "airflow")
        assert row.run_id.startswith("manual__")
    steps = [(step["step"], step.get("destination")) for step in events(log, "step")]
    assert steps[:3] == [("download", None), ("clean", None), ("parquet", None)]
    assert sorted(steps[3:]) == [("load", "duckdb"), ("load", "gcs"), ("load", "postgres")]
    assert all(step["status"] == "ok" and step["seconds"] >= 0 for step in events(log, "step"))
    assert {step["run_id"] for step in events(log, "step")} == {row.run_id}
    assert len(events(log, "succeeded")) == 9  # no task for a destination that is not requested
    [path] = re.findall(r"Report on green 2020-04: (\S+)", log)
    assert Path(path).read_text().startswith("<!doctype html>")

    conf = json.dumps({**SAMPLE, "destinations": "gcs,postgres,duckdb"})
    again = run_dag("taxi_ingest", conf, TAXI_LAKE="gcs")
    assert re.search(r"Report on green 2020-04: gs://\S+/reports/green-2020-04.html", again)
    loads = [step for step in events(again, "step") if step["step"] == "load"]
    assert [load["status"] for load in loads] == ["skipped"] * 3
    assert ledger("gcs")["2020-04"].run_id == row.run_id


def test_a_month_that_is_not_there_is_not_tried_again(run_dag, tmp_path, mails):
    source = tmp_path / "<i>{{ 7*6 }}"  # text in a mail, neither HTML nor a template
    source.mkdir()
    conf = {**SAMPLE, "source": str(source), "destinations": "duckdb"}
    log = run_dag("taxi_ingest", json.dumps(conf), good=False, **mails.environment)
    [failed] = [event for event in events(log, "failed") if event["task"] == "download"]
    assert "green 2020-04 does not exist" in failed["error"]
    assert failed["try_number"] == 1
    assert not events(log, "retried")
    [mail] = [mail for mail in mails.mails if "download failed" in mail["Subject"]]
    assert mail["To"] == "on-call@example.com"
    text = mail.get_payload(0).get_content()
    assert html.escape(failed["error"]) in text
    assert "&lt;i&gt;{{ 7*6 }}" in text
    assert re.search(r'<a href="http[^"]+taxi_ingest[^"]*download[^"]*">', text)


BAD_RULES = """rules:
  - {name: odd, action: flag, when: "no_such_column > 1", why: x}
"""


@pytest.mark.parametrize(
    ("conf", "settings", "task", "sentence"),
    [
        ({"month": "2020-04", "source": "{folder}"}, {}, "download", "green 2020-04 does not exist"),
        ({"destinations": "oracle"}, {}, "request", "destinations 'oracle': use auto"),
        ({}, {"TAXI_RULES": "{folder}/rules.yaml"}, "refine", "no_such_column"),
        (
            {"month": "2020-05", "source": "{folder}/small"},
            {},
            "refine",
            "9 trips are less than 50% of",
        ),
    ],
)
def test_what_a_user_has_to_mend_is_the_last_line_of_the_log(
    run_dag, tmp_path, conf, settings, task, sentence
):
    (tmp_path / "rules.yaml").write_text(BAD_RULES)
    write_months(tmp_path / "large", "2020-05")
    write(Service.GREEN, Month.parse("2020-05"), tmp_path / "small" / "green_tripdata_2020-05.csv.gz", 9, 1)
    own = {"TAXI_WORKSPACE": str(tmp_path / "workspace")}
    if "small" in conf.get("source", ""):
        first = {**SAMPLE, "month": "2020-05", "source": str(tmp_path / "large"), "destinations": "duckdb"}
        run_dag("taxi_ingest", json.dumps(first), **own)
    conf = {name: value.format(folder=tmp_path) for name, value in conf.items()}
    settings = {name: value.format(folder=tmp_path) for name, value in settings.items()}
    conf = {**SAMPLE, "destinations": "duckdb", **conf}
    log = run_dag("taxi_ingest", json.dumps(conf), good=False, **own, **settings)
    [failed] = [event for event in events(log, "failed") if event["task"] == task]
    assert sentence in failed["error"]
    lines = [line for line in log.splitlines() if failed["error"] in line]
    assert '"taxi_event"' not in lines[-1]
    assert "During handling of the above exception" not in log
    assert "The above exception was the direct cause" not in log


def test_the_monthly_run_loads_what_is_due_and_nothing_twice(run_dag, ledger, tmp_path):
    write_months(tmp_path, "2020-06", "2020-07")
    conf = json.dumps(
        {"services": "green", "since": "2020-05", "source": str(tmp_path), "destinations": "gcs"}
    )
    log = run_dag("taxi_monthly", conf)
    assert sorted(month["month"] for month in events(log, "month")) == ["2020-06", "2020-07"]
    assert {"2020-06", "2020-07"} <= ledger("gcs").keys()
    assert not events(run_dag("taxi_monthly", conf), "month")


def test_zones_are_in_every_destination(run_dag, place, tmp_path):
    path = tmp_path / "zones.csv"
    path.write_text('LocationID,Borough,Zone,service_zone\n1,EWR,Newark Airport,EWR\n264,Unknown,"N/A",N/A\n')
    storage = gcs.ensure(place / "workspace" / "gcs")
    # as on Composer, where GCS_BUCKET in the environment is the environment's own bucket
    log = run_dag(
        "zone_lookup",
        json.dumps({"source": str(path)}),
        **{**storage.environment(), "GCS_BUCKET": "us-central1-env-bucket", "COMPOSER_ENVIRONMENT": "env"},
        AIRFLOW_VAR_TAXI=json.dumps({"GCS_BUCKET": storage.bucket, "TAXI_DESTINATIONS": "gcs,duckdb"}),
    )
    steps = [step.get("destination", "") for step in events(log, "step")]
    assert sorted(steps) == ["", "duckdb", "gcs"]
    with duckdb.connect(str(place / "workspace" / "warehouse.duckdb"), read_only=True) as warehouse:
        [[schema]] = warehouse.sql(
            "SELECT table_schema FROM information_schema.tables WHERE table_name = 'zones'"
        ).fetchall()
        zones = warehouse.sql(f"SELECT location_id, zone FROM {schema}.zones ORDER BY 1").fetchall()
    assert zones == [(1, "Newark Airport"), (264, "N/A")]


def test_a_day_of_the_bikeshare_without_a_database_says_how_to_seed(run_dag, tmp_path):
    log = run_dag("bikeshare", '{"day": "2018-01-01"}', good=False, TAXI_WORKSPACE=str(tmp_path))
    assert "generate demo data with `taxi bikeshare seed`" in log


def test_a_day_of_the_bikeshare_read_from_a_database(run_dag, place):
    taxi(place / "workspace", "bikeshare", "seed", "2018-01-01")
    log = run_dag("bikeshare", '{"day": "2018-01-01"}')
    assert sorted(step["step"].removeprefix("bikeshare ") for step in events(log, "step")) == [
        *("extract", "land", "load", "transform")
    ]
    assert "dim_stations" in log


def test_a_day_of_the_bikeshare_exported_by_cloud_sql(run_dag, place):
    """Cloud SQL writes the stations into the bucket; the flow is told where and waits for the operation."""
    storage = gcs.ensure(place / "workspace" / "gcs")
    put = functools.partial(google_apis.put, storage.url, storage.bucket)
    put("bikeshare/regions.csv", b"1,Oakland\n2,San Jose\n")
    trips = lines(trip(1, NEXT), trip(2, NEXT))
    put(f"bikeshare/raw/trips/date={NEXT}/trips.json.gz", trips)
    stations = b'1,"Broadway, corner of ""5th"" Ave",1,20\n2,"Zo\xc3\xab\'s",2,"N\n'
    with google_apis.serve(storage.url, stations) as apis:
        log = run_dag(
            "bikeshare",
            f'{{"day": "{NEXT}"}}',
            **storage.environment(),
            TAXI_BIKESHARE_EXTRACT="export",
            CLOUD_SQL_INSTANCE="stations-db",
            TEST_GOOGLE_APIS=apis.url,
            AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT=google_apis.CONNECTION,
        )
    [export] = [body for _, path, body in apis.requests if path.endswith("/instances/stations-db/export")]
    context = export["exportContext"]
    assert context["uri"].endswith("/raw/stations/date=2018-01-02/stations.csv")
    assert context["csvExportOptions"]["selectQuery"].startswith("SELECT `station_id`, `name`")
    assert re.search(r"'table_name': 'dim_stations'[^}]*'row_count': 2,", log)
    assert re.search(r"'table_name': 'raw_trips'[^}]*'row_count': 2,", log)


def test_objects_come_from_s3_by_a_job_that_is_deleted_afterwards(run_dag):
    conf = {
        "s3_bucket": "theirs",
        "s3_path": "trips/",
        "gcs_bucket": "ours",
        "role_arn": "arn:aws:iam::1:role/t",
    }
    with google_apis.serve() as apis:
        run_dag(
            "s3_to_gcs_transfer",
            json.dumps(conf),
            TEST_GOOGLE_APIS=apis.url,
            AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT=google_apis.CONNECTION,
        )
    job = next(body for method, path, body in apis.requests if method == "POST")
    assert job["transferSpec"]["awsS3DataSource"] == {
        "bucketName": "theirs",
        "path": "trips/",
        "roleArn": "arn:aws:iam::1:role/t",
    }
    assert job["transferSpec"]["gcsDataSink"]["bucketName"] == "ours"
    method, path, last = apis.requests[-1]
    assert (method, path, last["transfer_job"]) == ("PATCH", "/v1/transferJobs/1", {"status": "DELETED"})


def write_months(folder: Path, *months: str) -> None:
    for month in months:
        write(Service.GREEN, Month.parse(month), folder / f"green_tripdata_{month}.csv.gz", 200, 1)
