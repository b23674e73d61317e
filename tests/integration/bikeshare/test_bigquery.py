"""The same flow into BigQuery: the same rows as in the embedded warehouse, in partitions, all or nothing."""

from __future__ import annotations

import dataclasses
import datetime as dt
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nyc_taxi.errors import DestinationError
from nyc_taxi.load.warehouse.bigquery.engine import BigQueryEngine
from nyc_taxi.pipelines.bikeshare import flow, ledger, sample
from nyc_taxi.pipelines.bikeshare.derived import LEDGER, Derived
from nyc_taxi.pipelines.bikeshare.load import warehouse_table
from nyc_taxi.pipelines.bikeshare.warehouse import open_warehouse
from tests.support.bigquery import Dataset, unsupported
from tests.support.bikeshare import DAY, NEXT, RUN, TABLES, Stack, configured, lines, trip

slow = pytest.mark.slow


@pytest.fixture
def warehouse(stack: Stack, bigquery: Dataset, monkeypatch: pytest.MonkeyPatch) -> Iterator[Dataset]:
    """A dataset beside the one that the environment names."""
    monkeypatch.setenv("GCS_BUCKET", stack.gcs_server.bucket)
    monkeypatch.setenv("BIKESHARE_DATASET", stack.name)
    bigquery.connection.client.create_dataset(stack.name)
    yield dataclasses.replace(bigquery, target=dataclasses.replace(bigquery.target, dataset=stack.name))
    bigquery.connection.client.delete_dataset(stack.name, delete_contents=True, not_found_ok=True)


def ask(warehouse: Dataset, sql: str) -> list[tuple[Any, ...]]:
    """Rows of the dataset; `{name}` is a table of it."""
    names = {name: f"`local.{warehouse.target.dataset}.{name}`" for name in (*TABLES, "ledger")}
    rows = warehouse.connection.client.query_and_wait(sql.format(**names))
    return [tuple(row.values()) for row in rows]


def content(warehouse: Dataset) -> dict[str, list[str]]:
    return {name: sorted(repr(row) for row in ask(warehouse, f"SELECT * FROM {{{name}}}")) for name in TABLES}


def staging_tables(warehouse: Dataset) -> list[str]:
    return sorted(name for name in warehouse.tables() if name.startswith("staging_"))


def plain(rows: list[tuple[Any, ...]]) -> list[str]:
    """Rows with moments as text: drivers give them time zones of different kinds."""
    return sorted(repr([str(value) for value in row]) for row in rows)


@slow
def test_it_holds_what_the_embedded_warehouse_holds(stack: Stack, warehouse: Dataset, monkeypatch):
    stack.fill(DAY, NEXT)
    assert ledger.entries(open_warehouse(stack.config)) == []
    for day in (NEXT, DAY):
        outcome = stack.run(day)
    assert outcome.warehouse.startswith(f"BigQuery dataset local.{stack.name} on the emulator")
    first = content(warehouse)
    again = stack.run(DAY)
    assert again.entries == outcome.entries
    assert content(warehouse) == first
    assert sample.NASTY in [name for (name,) in ask(warehouse, "SELECT name FROM {dim_stations}")]

    monkeypatch.setenv("BIGQUERY_DATASET", "")
    monkeypatch.setenv("BIKESHARE_DATASET", "")
    for day in (DAY, NEXT):
        embedded = stack.run(day)
    assert "DuckDB" in embedded.warehouse
    for name in TABLES:
        columns = [column for (column,) in stack.ask(f"SELECT column_name FROM (DESCRIBE {name})")]
        select = f"SELECT {', '.join(columns)} FROM "
        assert plain(ask(warehouse, f"{select} {{{name}}}")) == plain(stack.ask(select + name)), name

    client = warehouse.connection.client
    tables = {table.table_id: client.get_table(table) for table in client.list_tables(stack.name)}
    assert set(tables) == {*TABLES, "ledger", "commit_lock"}  # and no staging table is left
    assert {name for name, table in tables.items() if table.time_partitioning} == {*TABLES, "ledger"} - {
        "dim_stations"
    }
    assert tables["fact_trips_daily"].time_partitioning.type_ == "DAY"
    assert tables["fact_trips_daily"].clustering_fields == ["station_id"]
    assert all(field.description for table in tables.values() for field in table.schema)
    jobs = [job for job in client.list_jobs() if f"-{stack.name}-" in job.job_id and job.job_type == "query"]
    assert len(jobs) == 4, "two days are loaded and transformed"
    assert [statement for job in jobs for statement in unsupported(job.query)] == []


@slow
def test_a_load_or_transform_that_fails_changes_nothing(stack: Stack, warehouse: Dataset, monkeypatch):
    stack.fill()
    stack.run(DAY)
    before = content(warehouse)
    stack.trips(lines(trip(1), trip(2)))
    with monkeypatch.context() as patch:
        patch.setattr(flow, "transform_day", lambda *_: [])  # as when it is killed before
        stack.run(DAY)
    assert ask(warehouse, "SELECT COUNT(*) FROM {raw_trips}") == [(2,)]
    assert {**content(warehouse), "raw_trips": None} == {**before, "raw_trips": None}
    genuine = Derived.__dict__["query"].fget
    lossy = property(lambda self: genuine(self).replace("t.date = @day", "t.date = @day AND trip_id = '1'"))
    with monkeypatch.context() as patch:
        patch.setattr(Derived, "query", lossy)
        with pytest.raises(DestinationError, match="fact_trips_daily has more or fewer trips than raw_trips"):
            flow.transform(stack.config, DAY, RUN)
    assert {**content(warehouse), "raw_trips": None} == {**before, "raw_trips": None}
    flow.transform(stack.config, DAY, RUN)
    assert ask(warehouse, "SELECT SUM(trips) FROM {fact_trips_daily}") == [(2,)]


@slow
def test_two_days_with_equal_regions_are_loaded_at_once(stack: Stack, warehouse: Dataset, monkeypatch):
    """Both have staged their rows when the first of them begins its transaction."""
    stack.fill(DAY, NEXT)
    for day in (DAY, NEXT):
        flow.land(stack.config, flow.extract(stack.config, day))
    open_warehouse(stack.config).create([*map(warehouse_table, stack.config.tables), LEDGER])
    staged: list[str] = []
    barrier = threading.Barrier(2, action=lambda: staged.extend(staging_tables(warehouse)))
    errors: list[Exception] = []
    transact = BigQueryEngine.transact

    def transact_together(self: BigQueryEngine, *arguments: Any) -> None:
        if threading.current_thread().name not in passed:
            passed.add(threading.current_thread().name)
            barrier.wait(120)
        transact(self, *arguments)

    def load(day: dt.date) -> None:
        try:
            flow.load(stack.config, day, RUN)
        except Exception as error:
            errors.append(error)

    passed: set[str] = set()
    monkeypatch.setattr(BigQueryEngine, "transact", transact_together)
    threads = [threading.Thread(target=load, args=(day,), name=str(day)) for day in (DAY, NEXT)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    regions_staged = [name.rpartition("_") for name in staged if name.startswith("staging_raw_regions_")]
    assert [beginning[-10:] for beginning, _, _ in regions_staged] == ["2018_01_01", "2018_01_02"]
    assert len({version for _, _, version in regions_staged}) == 1, "the regions are equal"
    regions = "SELECT date, COUNT(*) FROM {raw_regions} GROUP BY date ORDER BY date"
    assert ask(warehouse, regions) == [(DAY, 3), (NEXT, 3)]
    assert staging_tables(warehouse) == []


@slow
def test_a_missing_dataset_is_named_and_not_created(stack: Stack, warehouse: Dataset, monkeypatch):
    stack.fill()
    monkeypatch.setenv("BIKESHARE_DATASET", f"{stack.name}_missing")
    with pytest.raises(
        DestinationError,
        match=r"the dataset does not exist .* set BIKESHARE_DATASET .* must both exist before the first",
    ):
        stack.run(DAY)
    datasets = {dataset.dataset_id for dataset in warehouse.connection.client.list_datasets()}
    assert f"{stack.name}_missing" not in datasets


def test_the_dataset_is_named_like_the_one_beside_it(nothing: Path, monkeypatch):
    from nyc_taxi.errors import SettingsError

    assert configured().dataset == "bikeshare_sample"
    monkeypatch.setenv("BIGQUERY_DATASET", "taxi_dev")
    assert configured().dataset == "taxi_dev_bikeshare_sample"
    monkeypatch.setenv("MYSQL_HOST", "db.example")
    assert configured().dataset == "taxi_dev_bikeshare"
    monkeypatch.setenv("BIKESHARE_DATASET", "bikes")
    assert configured().dataset == "bikes"
    monkeypatch.setenv("BIKESHARE_DATASET", "a.b")
    with pytest.raises(SettingsError, match=r"BIKESHARE_DATASET='a\.b' is not a dataset's name"):
        _ = configured().dataset
