"""The views give the same rows in Postgres, DuckDB and BigQuery, and Postgres keeps them up to date."""

from __future__ import annotations

import dataclasses
import datetime as dt
import math
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlglot

from nyc_taxi.load.postgres import views as postgres_views
from nyc_taxi.load.postgres.client import execute, transaction
from nyc_taxi.load.postgres.load import Postgres
from nyc_taxi.load.postgres.views import DIALECT as POSTGRES
from nyc_taxi.load.views.definitions import ANALYST_VIEWS, View, views
from nyc_taxi.load.warehouse.bigquery.tables import DIALECT as BIGQUERY
from nyc_taxi.load.warehouse.duckdb.tables import DIALECT as DUCKDB
from nyc_taxi.local import samples
from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.references import MonthFiles
from nyc_taxi.model.run import Run
from nyc_taxi.pipelines.zones import shipped_zones
from nyc_taxi.transform.refined import RefinedMonth
from tests.support.builders import parquet_month, source_file
from tests.support.destinations import FIXTURES, PostgresProbe, SqlProbe
from tests.support.postgres_probe import ask, session, waiting
from tests.support.waiting import until

RUN = Run("run-1", "cli")
TAXIS = (Service.YELLOW, Service.GREEN)
MONTHS = (Month(2021, 5), Month(2021, 6))


def generated(folder: Path) -> Iterable[MonthFiles]:
    """Two months of both services."""
    for service in TAXIS:
        for month in MONTHS:
            path = folder / f"{service}_tripdata_{month}.parquet"
            samples.write(service, month, path, rows=400)
            yield parquet_month(source_file(path, service, str(month)), folder)


def load(probe: SqlProbe, months: Iterable[MonthFiles]) -> SqlProbe:
    destination = probe.open()
    for files in months:
        destination.replace_month(RefinedMonth.of(files), RUN)
    destination.replace_lookup(shipped_zones())
    return probe


def rows(probe: SqlProbe, view: str, months: Iterable[Month] = MONTHS) -> list[dict[str, Any]]:
    """The rows of a view, in an order that differences of rounding do not change."""
    days = ", ".join(f"DATE '{month.first_day}'" for month in months)
    unsorted = probe.query(f"SELECT * FROM {view} WHERE month IN ({days})")
    return sorted(unsorted, key=lambda row: repr([_rounded(value) for value in row.values()]))


def _rounded(value: object) -> object:
    return f"{value:.3e}" if isinstance(value, float) else value


def assert_equal(first: list[dict[str, Any]], second: list[dict[str, Any]], view: str) -> None:
    assert first, f"{view} is empty"
    assert len(first) == len(second), view
    assert list(first[0]) == list(second[0]), view
    for one, other in zip(first, second, strict=True):
        for name, value in one.items():
            if isinstance(value, float):
                assert math.isclose(value, other[name], rel_tol=1e-9, abs_tol=1e-6), (view, name, one, other)
            else:
                assert value == other[name], (view, name, one, other)


@pytest.mark.parametrize("name", ["postgres", pytest.param("bigquery", marks=pytest.mark.slow)])
def test_every_view_has_the_same_rows_in_every_database(
    name: str, request: pytest.FixtureRequest, workspace: Path, tmp_path: Path
) -> None:
    months = list(generated(tmp_path))
    duckdb = load(request.getfixturevalue(FIXTURES["duckdb"]), months)
    other = load(request.getfixturevalue(FIXTURES[name]), months)
    for view in ANALYST_VIEWS:
        assert_equal(rows(duckdb, view), rows(other, view), view)


@pytest.mark.real
def test_every_view_has_the_same_rows_for_real_months(
    request: pytest.FixtureRequest, workspace: Path, tmp_path: Path, real_data: Path
) -> None:
    months = []
    for name in (
        "green/green_tripdata_2020-04.csv.gz",
        "green/green_tripdata_2020-05.csv.gz",
        "yellow/yellow_tripdata_2021-01.csv.gz",
    ):
        path = real_data / "nyc-tlc-data" / name
        service, month = path.name.split("_tripdata_")
        months.append(parquet_month(source_file(path, Service(service), month[:7]), tmp_path))
    loaded = [files.month for files in months]
    duckdb = load(request.getfixturevalue(FIXTURES["duckdb"]), months)
    postgres = load(request.getfixturevalue(FIXTURES["postgres"]), months)
    for view in ANALYST_VIEWS:
        assert_equal(rows(duckdb, view, loaded), rows(postgres, view, loaded), view)


def test_what_the_views_say_follows_from_the_trips(duckdb_destination: SqlProbe, tmp_path: Path) -> None:
    probe = load(duckdb_destination, generated(tmp_path))
    charged = probe.query("SELECT * FROM taxi_trips WHERE reversal_source_row IS NULL")
    for view in ("daily_revenue_by_zone", "hourly_trips", "monthly_revenue_by_zone"):
        counted = rows(probe, view)
        assert sum(row["trips"] for row in counted) == len(charged)
        revenue = math.fsum(trip["total_amount"] for trip in charged)
        assert sum(row["revenue"] for row in counted) == pytest.approx(revenue)
    first, second = (row for row in rows(probe, "monthly_totals") if row["service"] == "green")
    assert (first["month"], first["trips_change"]) == (dt.date(2021, 5, 1), None)
    assert second["trips_change"] == pytest.approx(second["trips"] / first["trips"] - 1)
    (quarantined,) = probe.query("SELECT count(*) AS held FROM quarantine_green")
    by_rule = [row for row in rows(probe, "quarantine_by_rule") if row["service"] == "green"]
    assert sum(row["quarantined_rows"] for row in by_rule) == quarantined["held"] > 0
    speeds = rows(probe, "trip_speeds")
    assert 0 < len(speeds) < len(charged)
    assert all(row["minutes"] < 23 * 60 and 0 < row["miles_per_hour"] <= 100 for row in speeds)


@pytest.mark.parametrize(
    ("dialect", "name"), [(POSTGRES, "postgres"), (DUCKDB, "duckdb"), (BIGQUERY, "bigquery")]
)
def test_every_view_parses_in_its_database(dialect: Any, name: str) -> None:
    for view in views(lambda table: table, dialect):
        sqlglot.parse_one(view.query, read=name)


@pytest.mark.parametrize("name", ["postgres", "duckdb"])
def test_objects_of_others_that_have_the_name_of_a_view_stay(
    name: str,
    request: pytest.FixtureRequest,
    workspace: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    probe: SqlProbe = request.getfixturevalue(FIXTURES[name])
    probe.execute("CREATE SCHEMA IF NOT EXISTS taxi")
    probe.execute("CREATE TABLE {schema}monthly_totals (own bigint)")
    probe.execute("CREATE VIEW {schema}trip_speeds AS SELECT 2 AS own")
    load(probe, list(generated(tmp_path))[2:])
    assert probe.query("SELECT count(*) AS held FROM monthly_totals") == [{"held": 0}]
    assert probe.query("SELECT own FROM trip_speeds") == [{"own": 2}]
    assert rows(probe, "hourly_trips")
    assert "monthly_totals in " in caplog.text
    assert "trip_speeds in " in caplog.text


# ---- Postgres

EARLIER = "Of an earlier version. (Definition 0123456789abcdef.)"


@pytest.fixture
def database(postgres_destination: PostgresProbe, workspace: Path, tmp_path: Path) -> PostgresProbe:
    load(postgres_destination, list(generated(tmp_path))[2:])
    return postgres_destination


def comment_of(probe: PostgresProbe, view: str) -> str:
    return str(
        probe.query(f"SELECT obj_description(to_regclass('{view}'), 'pg_class') AS comment")[0]["comment"]
    )


def refresh(probe: PostgresProbe) -> None:
    assert probe.config
    Postgres(probe.config)._refresh_views()


def test_a_changed_definition_replaces_the_view_those_upon_it_and_keeps_grants(
    database: PostgresProbe, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.execute("GRANT SELECT ON hourly_trips TO pg_monitor")
    every = postgres_views._all_views()

    def changed() -> list[View]:
        """As a version whose taxi_trips has another first column."""
        return [
            dataclasses.replace(view, query=re.sub("^SELECT", "SELECT 1 AS era,", view.query, flags=re.M))
            if view.name == "taxi_trips"
            else view
            for view in every
        ]

    before = comment_of(database, "taxi_trips")
    monkeypatch.setattr(postgres_views, "_all_views", changed)
    refresh(database)
    assert comment_of(database, "taxi_trips") != before
    assert database.query("SELECT DISTINCT era FROM taxi_trips") == [{"era": 1}]
    assert rows(database, "hourly_trips")
    granted = "SELECT has_table_privilege('pg_monitor', 'hourly_trips', 'SELECT') AS granted"
    assert database.query(granted) == [{"granted": True}]


def test_views_that_are_up_to_date_take_no_lock(
    database: PostgresProbe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_views, "lock_schema", lambda *_: pytest.fail("it would change views"))
    refresh(database)


def test_a_view_in_use_is_left_for_the_next_load(
    database: PostgresProbe, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(postgres_views, "LOCK_TIMEOUT", "100ms")
    assert database.config
    database.execute(f"COMMENT ON VIEW trip_speeds IS '{EARLIER}'")
    with transaction(database.config) as reader:
        execute(reader, "SELECT count(*) FROM trip_speeds")
        refresh(database)
    assert "The view trip_speeds stays as it is" in caplog.text
    assert comment_of(database, "trip_speeds") == EARLIER
    refresh(database)
    assert comment_of(database, "trip_speeds") != EARLIER


def test_a_view_in_use_delays_no_readers_of_others(
    database: PostgresProbe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_views, "LOCK_TIMEOUT", "60s")
    config = database.config
    assert config
    for view in ("ledger_current", "trip_speeds"):
        database.execute(f"COMMENT ON VIEW {view} IS '{EARLIER}'")
    with ThreadPoolExecutor() as pool, session(config) as slow, session(config) as quick:
        ask(slow, "BEGIN; SELECT count(*) FROM trip_speeds")
        refreshing = pool.submit(refresh, database)
        until(lambda: waiting(config, "relation") == 1)
        ask(quick, "SET statement_timeout TO '20s'")
        assert ask(quick, "SELECT count(*) FROM ledger_current")
        assert not refreshing.done()
        ask(slow, "COMMIT")
        refreshing.result()
    assert comment_of(database, "trip_speeds") != EARLIER
