"""The same flow into BigQuery: the same rows as in the embedded warehouse, in partitions, all or nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nyc_taxi.errors import DestinationError
from nyc_taxi.pipelines.bikeshare import flow, ledger, sample
from nyc_taxi.pipelines.bikeshare.derived import Derived
from nyc_taxi.pipelines.bikeshare.flow import run_day
from nyc_taxi.pipelines.bikeshare.warehouse import open_warehouse
from nyc_taxi.settings import settings
from tests.support.bigquery import Dataset
from tests.support.bikeshare import DAY, NEXT, RUN, TABLES, World, lines, trip

slow = pytest.mark.slow


@pytest.fixture
def warehouse(world: World, bigquery: Dataset, monkeypatch: pytest.MonkeyPatch) -> Iterator[Dataset]:
    """A dataset beside the one that the environment names; the first load makes it."""
    monkeypatch.setenv("GCS_BUCKET", world.gcs_server.bucket)
    monkeypatch.setenv("BIKESHARE_DATASET", world.name)
    settings.cache_clear()
    yield dataclasses.replace(bigquery, target=dataclasses.replace(bigquery.target, dataset=world.name))
    bigquery.connection.client.delete_dataset(world.name, delete_contents=True, not_found_ok=True)


def ask(warehouse: Dataset, sql: str) -> list[tuple[Any, ...]]:
    """Rows of the dataset; `{name}` is a table of it."""
    names = {name: f"`local.{warehouse.target.dataset}.{name}`" for name in (*TABLES, "ledger")}
    rows = warehouse.connection.client.query_and_wait(sql.format(**names))
    return [tuple(row.values()) for row in rows]


def content(warehouse: Dataset) -> dict[str, list[str]]:
    return {name: sorted(repr(row) for row in ask(warehouse, f"SELECT * FROM {{{name}}}")) for name in TABLES}


def plain(rows: list[tuple[Any, ...]]) -> list[str]:
    """Rows with moments as text: drivers give them time zones of different kinds."""
    return sorted(repr([str(value) for value in row]) for row in rows)


@slow
def test_it_holds_what_the_embedded_warehouse_holds(world: World, warehouse: Dataset, monkeypatch):
    world.fill(DAY, NEXT)
    assert ledger.entries(open_warehouse(world.place)) == []
    assert world.name not in {made.dataset_id for made in warehouse.connection.client.list_datasets()}
    for day in (NEXT, DAY):
        outcome = run_day(day, RUN)
    assert outcome.warehouse.startswith(f"BigQuery dataset local.{world.name} on the emulator")
    first = content(warehouse)
    again = run_day(DAY, RUN)
    assert again.entries == outcome.entries
    assert content(warehouse) == first
    assert sample.NASTY in [name for (name,) in ask(warehouse, "SELECT name FROM {dim_stations}")]

    monkeypatch.setenv("BIGQUERY_DATASET", "")
    monkeypatch.setenv("BIKESHARE_DATASET", "")
    for day in (DAY, NEXT):
        embedded = run_day(day, RUN)
    assert "DuckDB" in embedded.warehouse
    for name in TABLES:
        columns = [column for (column,) in world.ask(f"SELECT column_name FROM (DESCRIBE {name})")]
        select = f"SELECT {', '.join(columns)} FROM "
        assert plain(ask(warehouse, f"{select} {{{name}}}")) == plain(world.ask(select + name)), name

    client = warehouse.connection.client
    tables = {table.table_id: client.get_table(table) for table in client.list_tables(world.name)}
    assert set(tables) == {*TABLES, "ledger", "commit_lock"}  # and no staging table is left
    assert {name for name, table in tables.items() if table.time_partitioning} == {*TABLES, "ledger"} - {
        "dim_stations"
    }
    assert tables["fact_trips_daily"].time_partitioning.type_ == "DAY"
    assert tables["fact_trips_daily"].clustering_fields == ["station_id"]
    assert all(field.description for table in tables.values() for field in table.schema)


@slow
def test_a_load_or_transform_that_fails_changes_nothing(world: World, warehouse: Dataset, monkeypatch):
    world.fill()
    run_day(DAY, RUN)
    before = content(warehouse)
    world.trips(lines(trip(1), trip(2)))
    with monkeypatch.context() as patch:
        patch.setattr(flow, "transform_day", lambda *_: [])  # as when it is killed before
        run_day(DAY, RUN)
    assert ask(warehouse, "SELECT COUNT(*) FROM {raw_trips}") == [(2,)]
    assert {**content(warehouse), "raw_trips": None} == {**before, "raw_trips": None}
    genuine = Derived.query.fget
    lossy = property(lambda self: genuine(self).replace("t.date = @day", "t.date = @day AND trip_id = '1'"))
    with monkeypatch.context() as patch:
        patch.setattr(Derived, "query", lossy)
        with pytest.raises(DestinationError, match="fact_trips_daily has not as many trips as raw_trips"):
            flow.transform(DAY, RUN)
    assert {**content(warehouse), "raw_trips": None} == {**before, "raw_trips": None}
    flow.transform(DAY, RUN)
    assert ask(warehouse, "SELECT SUM(trips) FROM {fact_trips_daily}") == [(2,)]


def test_the_dataset_is_named_like_the_one_beside_it(nothing: Path, monkeypatch):
    from nyc_taxi.errors import SettingsError
    from nyc_taxi.pipelines.bikeshare.config import place

    assert place().dataset == "bikeshare_sample"
    monkeypatch.setenv("BIGQUERY_DATASET", "taxi_dev")
    assert place().dataset == "taxi_dev_bikeshare"
    monkeypatch.setenv("BIKESHARE_DATASET", "bikes")
    assert place().dataset == "bikes"
    monkeypatch.setenv("BIKESHARE_DATASET", "a.b")
    with pytest.raises(SettingsError, match=r"BIKESHARE_DATASET='a\.b' is not a dataset's name"):
        _ = place().dataset
