"""BigQuery: months in the tables of a dataset (see tests/support/bigquery.py for where it is)."""

from __future__ import annotations

import dataclasses
import datetime as dt
import threading
import uuid
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from google.api_core.exceptions import BadRequest
from google.cloud.bigquery import ConnectionProperty, QueryJobConfig, Table
from typer.testing import CliRunner

from nyc_taxi.cli.commands import app
from nyc_taxi.errors import DestinationError, SchemaError
from nyc_taxi.lake.object_store.gcs.config import GcsConfig
from nyc_taxi.load.contract import new_entry
from nyc_taxi.load.object_store.gcs import Gcs
from nyc_taxi.load.registry import open_destination
from nyc_taxi.load.views.definitions import ANALYST_VIEWS, views
from nyc_taxi.load.warehouse.bigquery import commit, jobs, load, queries, staging
from nyc_taxi.load.warehouse.bigquery.bucket import in_bucket
from nyc_taxi.load.warehouse.bigquery.config import BigQueryConfig
from nyc_taxi.load.warehouse.bigquery.engine import BigQueryEngine
from nyc_taxi.load.warehouse.bigquery.load import BigQuery, create_tables
from nyc_taxi.load.warehouse.bigquery.tables import lock
from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.run import Run
from nyc_taxi.pipelines.zones import shipped_zones
from nyc_taxi.schema import tables as warehouse
from nyc_taxi.schema import trip_columns
from nyc_taxi.schema.sql import comment
from nyc_taxi.settings import load_settings
from nyc_taxi.transform.refined import RefinedMonth
from tests.support.bigquery import Dataset, Place, dataset, unsupported
from tests.support.builders import month_files
from tests.support.kill_points import checked
from tests.support.killed import load_and_kill
from tests.support.waiting import until

RUN = Run("Run 1: A+B", "cli")

FIRST_JOBS = {"load-trips-file-1", "load-quarantine-file-1", "load-quality-file-1", "commit-1"}


def first_day(month: str) -> dt.date:
    return Month.parse(month).first_day


def trips_of(bigquery: Dataset, month: str, service: str = "green") -> list[tuple[Any, ...]]:
    """Trips of a month by version."""
    where = f"WHERE month = '{month}-01' GROUP BY 1 ORDER BY 1"
    return bigquery.ask(f"SELECT source_version, COUNT(*) FROM trips_{service} {where}")


def test_a_month_is_loaded_by_four_labelled_jobs(bigquery: Dataset, tmp_path: Path):
    month = bigquery.month()
    bigquery.destination().replace_month(RefinedMonth.of(month_files(tmp_path, month=month)), RUN)
    found_jobs = bigquery.jobs(month)
    assert bigquery.job_ids(month) == FIRST_JOBS
    assert found_jobs[-1].job_id == f"nyc_taxi-{bigquery.target.dataset}-green-{month}-v1-commit-1"
    labels = {"service": "green", "month": month, "version": "v1", "orchestrator": "cli"}
    assert [job.labels for job in found_jobs] == [{**labels, "run_id": "run-1--a-b"}] * 4
    assert not [name for name in bigquery.tables() if name.startswith("staging")]


def test_a_transaction_has_supported_statements_only(bigquery: Dataset, tmp_path: Path):
    month = bigquery.month()
    bigquery.destination().replace_month(RefinedMonth.of(month_files(tmp_path, month=month)), RUN)
    [script] = [job.query for job in bigquery.jobs(month) if "commit" in job.job_id]
    assert unsupported(script) == []
    assert unsupported(script.replace("SELECT IF(", "ASSERT (")) != []


def test_tables_are_partitioned_clustered_and_described(bigquery: Dataset):
    create_tables(bigquery.connection)
    client, name = bigquery.connection.client, bigquery.connection.name
    trips = client.get_table(name("trips_green"))
    assert (trips.time_partitioning.type_, trips.time_partitioning.field) == ("MONTH", "month")
    assert trips.clustering_fields == ["pickup_location_id", "dropoff_location_id", "pickup_datetime"]
    assert client.get_table(name("quarantine_green")).time_partitioning.field == "month"
    fields = {field.name: field for field in trips.schema}
    assert (fields["month"].field_type, fields["month"].mode) == ("DATE", "REQUIRED")
    assert fields["pickup_datetime"].field_type == "DATETIME"
    assert (fields["flags"].field_type, fields["flags"].mode) == ("STRING", "REPEATED")
    for column in trip_columns(Service.GREEN):
        assert fields[column.name].description == comment(column)
    for table in client.list_tables(bigquery.target.dataset):
        if not table.table_id.startswith("lookup_"):  # the emulator ignores what a load job says of its table
            assert client.get_table(table).description, table.table_id


def test_unknown_columns_are_added_and_another_type_is_refused(bigquery: Dataset, tmp_path: Path):
    destination, month, later = bigquery.destination(), bigquery.month(), bigquery.month()
    extra = {"robot": pa.array(["R2", "D2"]), "charge": pa.array([1.5, None])}
    destination.replace_month(
        RefinedMonth.of(month_files(tmp_path, month=month, trips=2, service=Service.FHV, extra=extra)), RUN
    )
    destination.replace_month(
        RefinedMonth.of(month_files(tmp_path, month=later, trips=1, service=Service.FHV)), RUN
    )
    rows = bigquery.ask(
        f"SELECT robot, charge FROM trips_fhv WHERE month >= '{month}-01' ORDER BY month, source_row"
    )
    assert rows == [("R2", 1.5), ("D2", None), (None, None)]

    was = bigquery.month_state(month, "fhv")
    number = month_files(
        tmp_path, "v2", month, trips=2, service=Service.FHV, extra={"robot": pa.array([1, 2])}
    )
    with pytest.raises(SchemaError, match="trips_fhv: the column robot is STRING, but INT64 in the month"):
        destination.replace_month(RefinedMonth.of(number), RUN)
    assert bigquery.month_state(month, "fhv") == was


def test_the_script_itself_refuses_other_counts(bigquery: Dataset, tmp_path: Path):
    month = bigquery.month()
    files = month_files(tmp_path, month=month)
    bigquery.destination().replace_month(RefinedMonth.of(month_files(tmp_path, "v0", month)), RUN)
    was = bigquery.month_state(month)
    staged = staging.stage(bigquery.connection, files, RUN)
    wrong = dataclasses.replace(new_entry(files, RUN, dt.datetime.now(dt.UTC)), rows_loaded=19, rows_in=22)
    with pytest.raises(DestinationError, match="the trips are not as many as the month says"):
        commit.commit_month(BigQueryEngine(bigquery.target), files, RUN, staged, wrong)
    assert bigquery.month_state(month) == was


def test_a_version_that_another_run_has_just_committed_is_not_committed_again(
    bigquery: Dataset, tmp_path: Path
):
    month = bigquery.month()
    files, late = month_files(tmp_path, month=month), Run("late", "cli")
    bigquery.destination().replace_month(RefinedMonth.of(files), RUN)
    was = bigquery.month_state(month)
    staged = staging.stage(bigquery.connection, files, late)
    entry = new_entry(files, late, dt.datetime.now(dt.UTC))
    commit.commit_month(BigQueryEngine(bigquery.target), files, late, staged, entry)
    assert bigquery.month_state(month) == was


def test_reading_the_views_has_a_price(bigquery: Dataset):
    create_tables(bigquery.connection)
    bigquery.destination().replace_lookup(shipped_zones())
    result = CliRunner().invoke(app, ["cost", "--month", bigquery.month()])
    assert [line.split()[0] for line in result.output.splitlines()] == list(ANALYST_VIEWS)
    assert bigquery.destination().dry_run_cost().keys() == set(ANALYST_VIEWS)


def test_an_older_dataset_gets_new_columns_and_views_and_the_filter_is_required(
    emulator: Place, monkeypatch: pytest.MonkeyPatch
):
    """As a version of the package left it that did not know a column, and had other views."""
    shown = ("daily_revenue_by_zone", "taxi_trips")
    few = [*map(warehouse.trips, (Service.YELLOW, Service.GREEN)), warehouse.LEDGER_TABLE]
    # those that two views read: each takes a while to make
    monkeypatch.setattr(load, "all_tables", lambda: few)
    monkeypatch.setattr(load, "views", lambda *types: [view for view in views(*types) if view.name in shown])
    with dataset(emulator, require_partition_filter=True) as fresh:
        create_tables(fresh.connection)
        name, client = fresh.connection.name, fresh.connection.client
        for view in shown:
            client.delete_table(name(view))
        older = Table(name("taxi_trips"))
        older.view_query = f"SELECT 1 AS a FROM {fresh.connection.qualified('ledger')}"
        older.labels = {"text": "another"}
        client.create_table(older)
        for service in ("yellow", "green"):
            fresh.ask(f"ALTER TABLE trips_{service} DROP COLUMN congestion_surcharge")

        create_tables(fresh.connection)
        modified = client.get_table(name("taxi_trips")).modified
        create_tables(fresh.connection)

        assert client.get_table(name("taxi_trips")).modified == modified, "what is right is left alone"
        assert fresh.ask("SELECT COUNT(congestion_surcharge) FROM taxi_trips") == [(0,)]
        fields = {field.name: field for field in client.get_table(name("trips_yellow")).schema}
        assert fields["congestion_surcharge"].description.startswith("New York State congestion surcharge.")
        with pytest.raises(BadRequest, match="without a filter"):
            fresh.ask("SELECT COUNT(*) FROM trips_green")


def test_objects_of_others_that_have_the_name_of_a_view_stay(
    emulator: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    shown = ("ledger_current", "monthly_totals", "taxi_trips", "trip_speeds")
    monkeypatch.setattr(load, "views", lambda *types: [view for view in views(*types) if view.name in shown])
    with dataset(emulator) as fresh:
        fresh.ask("CREATE TABLE taxi_trips (own INT64)")
        fresh.ask("CREATE VIEW monthly_totals AS SELECT 2 AS own")
        create_tables(fresh.connection)
        assert fresh.ask("SELECT own FROM monthly_totals") == [(2,)]
        assert fresh.ask("SELECT COUNT(own) FROM taxi_trips") == [(0,)]
        assert "ledger_current" in fresh.tables()
        assert "trip_speeds" not in fresh.tables(), "it reads taxi_trips"
        assert fresh.destination().dry_run_cost() == {}, (
            "of the package's own views, only ledger_current is here"
        )
    assert "taxi_trips in BigQuery is not a view of this package" in caplog.text
    assert "monthly_totals in BigQuery is not a view of this package" in caplog.text


# ---- two at once


def open_transaction(bigquery: Dataset, service: Service) -> QueryJobConfig:
    """A session whose transaction has taken the lock of a service."""
    create_tables(bigquery.connection)
    client, held = bigquery.connection.client, bigquery.connection.qualified(lock(service).name)
    client.query_and_wait(f"INSERT INTO {held} (run_id) VALUES ('nobody')")
    opened = client.query("SELECT 1", job_config=QueryJobConfig(create_session=True))
    opened.result()
    properties = [ConnectionProperty("session_id", opened.session_info.session_id)]
    session = QueryJobConfig(connection_properties=properties)
    client.query_and_wait("BEGIN TRANSACTION", job_config=session)
    client.query_and_wait(f"UPDATE {held} SET run_id = 'other' WHERE TRUE", job_config=session)
    return session


def test_services_do_not_wait_for_each_other(bigquery: Dataset, tmp_path: Path):
    month = bigquery.month()
    session = open_transaction(bigquery, Service.YELLOW)
    client, quality = bigquery.connection.client, bigquery.connection.qualified("quality")
    insert = f"INSERT INTO {quality} (service, month) VALUES ('yellow', DATE '{month}-01')"
    client.query_and_wait(insert, job_config=session)
    bigquery.destination().replace_month(RefinedMonth.of(month_files(tmp_path, month=month)), RUN)
    assert bigquery.job_ids(month) == FIRST_JOBS, "the first attempt to commit succeeds"
    client.query_and_wait("COMMIT TRANSACTION", job_config=session)


def test_no_other_transaction_is_committed_across_a_load(bigquery: Dataset, tmp_path: Path):
    """One that is open has taken the lock: where it is kept from others, the load waits for its end."""
    month, destination, client = bigquery.month(), bigquery.destination(), bigquery.connection.client
    session = open_transaction(bigquery, Service.GREEN)
    refined = RefinedMonth.of(month_files(tmp_path, month=month))
    load = threading.Thread(target=destination.replace_month, args=(refined, RUN))
    load.start()
    until(lambda: any("commit" in job.job_id and job.state == "DONE" for job in bigquery.jobs(month)), 120)
    first = next(job for job in bigquery.jobs(month) if job.job_id.endswith("commit-1"))
    if first.error_result:  # Google: who comes second is cancelled
        client.query_and_wait("ROLLBACK TRANSACTION", job_config=session)
    else:  # the emulator: who commits second is
        with pytest.raises(BadRequest, match="Failed to commit"):
            client.query_and_wait("COMMIT TRANSACTION", job_config=session)
    load.join()
    assert trips_of(bigquery, month) == [("v1", 20)]


def test_a_load_that_lost_against_another_tries_again(
    bigquery: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The other changes the lock between the beginning and the end of this one's transaction."""
    month = bigquery.month()
    original, lost = queries._script, []

    def losing(*arguments: Any) -> str:
        script = original(*arguments)
        if lost:
            return script
        lost.append(True)
        return script.replace(
            "COMMIT TRANSACTION;", "RAISE USING MESSAGE = 'aborted due to concurrent update';"
        )

    monkeypatch.setattr(queries, "_script", losing)
    bigquery.destination().replace_month(RefinedMonth.of(month_files(tmp_path, month=month)), RUN)
    assert trips_of(bigquery, month) == [("v1", 20)]
    assert bigquery.job_ids(month) == FIRST_JOBS | {"commit-2"}


# ---- kill -9, and jobs that fail


def test_a_job_is_begun_only_when_none_of_its_name_can_be_used(bigquery: Dataset):
    connection, name, started = bigquery.connection, f"test-{uuid.uuid4().hex}", []

    def begun(sql: str, still_there: bool) -> Any:
        def start(job_id: str) -> Any:
            started.append(job_id)
            return connection.client.query(sql, job_id=job_id, job_retry=None)

        return jobs.begin(connection, name, start, lambda: still_there)

    with pytest.raises(DestinationError, match="it is broken"):
        jobs.finish(connection, begun("SELECT ERROR('it is broken')", True))
    second = begun("SELECT 1", True)  # the first has failed
    jobs.finish(connection, second)
    assert begun("SELECT 1", True).job_id == second.job_id
    third = begun(
        "SELECT COUNT(*) FROM UNNEST(GENERATE_ARRAY(1, 200000)) a, UNNEST(GENERATE_ARRAY(1, 200000)) b", False
    )
    assert begun("SELECT 1", False).job_id == third.job_id, "it runs still"
    third.cancel()
    assert started == [f"{name}-{attempt}" for attempt in (1, 2, 3)]


LOADING, STAGED, COMMITTING = checked(
    "nyc_taxi.load.warehouse.bigquery.staging:begin_load.<locals>.start:return",
    "nyc_taxi.load.warehouse.bigquery.staging:stage:return",
    "nyc_taxi.load.warehouse.bigquery.queries:run_transaction.<locals>.start:return",
)
"""The trips' load job has begun; all is staged; the commit job has begun, and ends by itself."""


@pytest.mark.parametrize(("kill_point", "committed"), [(LOADING, False), (STAGED, False), (COMMITTING, True)])
def test_what_a_killed_run_began_the_next_one_finds(
    bigquery: Dataset, tmp_path: Path, kill_point: str, committed: bool
):
    month = bigquery.month()
    files = month_files(tmp_path, month=month)
    load_and_kill("bigquery", files, kill_point)
    entry = bigquery.destination().replace_month(RefinedMonth.of(files), Run("next", "cli"))
    assert entry.run_id == ("killed" if committed else "next")
    assert trips_of(bigquery, month) == [("v1", 20)]
    assert len(bigquery.month_state(month)["ledger"]) == 1
    assert bigquery.job_ids(month) == FIRST_JOBS, "each job ran once"


def test_a_failed_job_is_followed_by_the_next_attempt(bigquery: Dataset, tmp_path: Path):
    month = bigquery.month()
    files = month_files(tmp_path, month=month)
    whole = files.trips_path.read_bytes()
    files.trips_path.write_bytes(b"PAR1" + bytes(len(whole) // 4) + whole[len(whole) // 4 + 4 :])
    with pytest.raises(DestinationError, match=r"refused \(.*job nyc_taxi-.*load-trips-file-1\)"):
        bigquery.destination().replace_month(RefinedMonth.of(files), RUN)
    files.trips_path.write_bytes(whole)
    bigquery.destination().replace_month(RefinedMonth.of(files), RUN)
    assert trips_of(bigquery, month) == [("v1", 20)]
    assert bigquery.job_ids(month) == FIRST_JOBS | {"load-trips-file-2"}


# ---- from the bucket


@pytest.fixture
def bucket(bigquery: Dataset, monkeypatch: pytest.MonkeyPatch) -> Gcs:
    """The GCS destination, which the environment names."""
    if not bigquery.bucket:
        pytest.skip("TAXI_TEST_GCS_BUCKET is not set")
    for name, value in bigquery.bucket.items():
        monkeypatch.setenv(name, value)
    return Gcs.from_settings(load_settings())


def beside_bucket(bigquery: Dataset) -> BigQuery:
    """The destination, which may load from the configured bucket."""
    bucket = GcsConfig.from_settings(load_settings())
    return BigQuery(dataclasses.replace(bigquery.target, bucket=bucket))


def sources(bigquery: Dataset, month: str) -> list[Any]:
    """Where the load jobs of trips read from, one after the other."""
    loads = [job for job in bigquery.jobs(month) if "load-trips" in job.job_id]
    return [job.source_uris for job in loads]


def test_a_month_in_the_bucket_is_not_uploaded_again(bigquery: Dataset, bucket: Gcs, tmp_path: Path):
    month = bigquery.month()
    files = month_files(tmp_path, month=month)
    bucket.replace_month(RefinedMonth.of(files), RUN)
    beside_bucket(bigquery).replace_month(RefinedMonth.of(files), RUN)
    [[uri]] = sources(bigquery, month)
    assert uri.startswith("gs://")
    assert uri.endswith(f"trips/service=green/month={month}/trips.parquet")
    assert trips_of(bigquery, month) == [("v1", 20)]


def test_a_month_that_is_replaced_in_the_bucket_while_it_is_read(
    bigquery: Dataset, bucket: Gcs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    month = bigquery.month()
    files, other = month_files(tmp_path, "v1", month), month_files(tmp_path, "v2", month)
    bucket.replace_month(RefinedMonth.of(files), RUN)
    original = staging.finish

    def finish(*arguments: Any) -> None:
        bucket.replace_month(RefinedMonth.of(other), RUN)
        original(*arguments)

    monkeypatch.setattr(staging, "finish", finish)
    beside_bucket(bigquery).replace_month(RefinedMonth.of(files), RUN)
    assert trips_of(bigquery, month) == [("v1", 20)]
    assert [bool(source) for source in sources(bigquery, month)] == [True, False]


def test_a_bucket_that_cannot_be_asked_is_done_without(
    bucket: Gcs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setenv("TAXI_RETRIES", "1")
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:1")
    assert in_bucket(month_files(tmp_path), BigQueryConfig.from_settings(load_settings())) is None
    assert "uploaded from this machine" in caplog.text


# ---- types


def test_every_type_arrives_as_it_is(bigquery: Dataset, tmp_path: Path):
    """Microseconds, zones, empty and missing lists, the ends of the ranges."""
    month = bigquery.month()
    moment = dt.datetime(2100, 3, 14, 2, 30, 0, 123456)  # an hour that summer time leaves out
    extra = {
        "an_int64": pa.array([2**63 - 1, -(2**63), None]),
        "a_float64": pa.array([1e308, -0.5, None]),
        "a_string": pa.array(["ü😀\n\"'\\", "", None]),
        "a_timestamp": pa.array([moment, dt.datetime(1, 1, 1), None], pa.timestamp("us")),
    }
    files = month_files(tmp_path, month=month, trips=3, service=Service.FHVHV, extra=extra)
    bigquery.destination().replace_month(RefinedMonth.of(files), RUN)
    rows = bigquery.ask(
        f"SELECT {', '.join(extra)} FROM trips_fhvhv WHERE month = '{month}-01' ORDER BY source_row"
    )
    assert rows == list(zip(*(array.to_pylist() for array in extra.values()), strict=True))


def test_the_configured_dataset_is_opened(bigquery: Dataset):
    destination = open_destination("bigquery", load_settings())
    assert isinstance(destination, BigQuery)
    where = f"BigQuery dataset {bigquery.target.project}.{bigquery.target.dataset}"
    assert destination.describe().startswith(
        f"{where} {'on the emulator' if bigquery.target.endpoint else 'with'} "
    )


def test_a_column_of_another_type_is_set_aside_and_its_month_named(emulator: Place, tmp_path: Path) -> None:
    files = month_files(tmp_path)
    with dataset(emulator) as own:

        def change(column: str, kind: str) -> None:
            for step in (f"DROP COLUMN {column}", f"ADD COLUMN {column} {kind}"):
                own.ask(f"ALTER TABLE trips_green {step}")

        entry = own.destination().replace_month(RefinedMonth.of(files), RUN)
        change("trip_type", "STRING")
        own.ask("UPDATE trips_green SET trip_type = 'two' WHERE source_row = 2")
        (planned,) = own.destination().migrate(dry_run=True)
        assert planned.reload == ((Service.GREEN, files.month),)
        assert own.destination().migrate(dry_run=False) == [planned]
        rows = own.ask("SELECT trip_type, trip_type_string FROM trips_green WHERE source_row = 2")
        assert rows == [(None, "two")]
        change("fare_amount", "INT64")
        unfinished, step = own.destination().migrate(dry_run=False)
        assert step.description == "fare_amount: INT64 becomes FLOAT64"
        own.ask("ALTER TABLE trips_green DROP COLUMN trip_type")  # as if killed after the RENAME
        added, reload = own.destination().migrate(dry_run=False)
        assert (added.reload, reload.reload) == ((), planned.reload)
        assert own.destination().migrate(dry_run=False) == [unfinished]
        own.destination().replace_month(RefinedMonth.of(files), RUN, damaged=entry)
        assert own.destination().migrate(dry_run=True) == []
        assert own.destination().find_damage(Service.GREEN, files.month) is None
