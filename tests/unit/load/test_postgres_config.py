"""Where the pipeline's tables are in Postgres."""

from __future__ import annotations

import pytest

from nyc_taxi.load.postgres.config import PostgresConfig
from nyc_taxi.settings import load_settings


def test_an_empty_schema_is_the_default_and_not_that_of_mages_own_blocks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("POSTGRES_HOST", "127.0.0.1")
    for value, schema in (("", "taxi"), ("trips", "trips")):
        monkeypatch.setenv("POSTGRES_SCHEMA", value)
        assert PostgresConfig.from_settings(load_settings()).schema == schema
