"""A generated month that passed the check before a load, as of two runs at once, is refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from nyc_taxi.errors import DestinationError
from nyc_taxi.load.contract import Destination
from nyc_taxi.load.postgres.load import Postgres
from nyc_taxi.load.warehouse.duckdb.config import DuckDbConfig
from nyc_taxi.load.warehouse.duckdb.load import DuckDb
from nyc_taxi.transform.refined import RefinedMonth
from tests.support.bigquery import Dataset
from tests.support.builders import month_files
from tests.support.clouds import gcs_cloud
from tests.support.postgres_probe import RUN


@pytest.fixture
def duckdb(tmp_path: Path) -> Destination:
    return DuckDb(DuckDbConfig(tmp_path / "warehouse.duckdb"))


@pytest.fixture
def bucket() -> Iterator[Destination]:
    with gcs_cloud() as cloud:
        yield cloud.destination()


@pytest.fixture
def database(request: pytest.FixtureRequest) -> Destination:
    return Postgres(request.getfixturevalue("postgres"))


@pytest.fixture
def warehouse(request: pytest.FixtureRequest) -> Destination:
    bigquery: Dataset = request.getfixturevalue("bigquery")
    return bigquery.destination()


@pytest.mark.parametrize(
    "name", ["duckdb", "bucket", "database", pytest.param("warehouse", marks=pytest.mark.slow)]
)
def test_the_real_month_stays(request: pytest.FixtureRequest, tmp_path: Path, name: str) -> None:
    there: Destination = request.getfixturevalue(name)
    month = "2031-07"
    real = month_files(tmp_path, "real", month=month)
    sample = month_files(tmp_path, "sample", month=month)
    sample = dataclasses.replace(sample, source=dataclasses.replace(sample.source, url="sample:20:1"))
    there.replace_month(RefinedMonth.of(real), RUN)
    with pytest.raises(DestinationError, match="holds the real green 2031-07"):
        there.replace_month(RefinedMonth.of(sample), RUN)
    entry = there.ledger_entry(real.service, real.month)
    assert entry is not None
    assert entry.version == "real"
