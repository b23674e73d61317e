"""Facts that the tests of blocks compare outputs with, taken from the files and tables themselves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from sqlalchemy import text

from nyc_taxi.files import digest
from nyc_taxi.lake.lake import Lake
from nyc_taxi.load.postgres.client import transaction
from nyc_taxi.load.postgres.config import PostgresConfig
from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.references import MonthFiles, SourceFile
from nyc_taxi.schema import tables
from nyc_taxi.settings import load_settings


def sha256(path: Path | str) -> str:
    """The SHA-256 of a file's current content, in hex."""
    return digest(Path(path), "sha256")


def raw_path(source: SourceFile) -> Path:
    """Where the raw file is on this machine, whatever it holds now."""
    path = Lake(load_settings()).raw.place(source)
    assert path is not None, f"the lake does not know {source.name}."
    return path


def parquet_of(reference: Mapping[str, Any]) -> MonthFiles:
    """The month's files where they are on this machine, whatever they hold now."""
    files = MonthFiles.from_dict(reference)
    return files.at(Lake(load_settings()).versions.place(files.service, files.month, files.version))


def rows_in_postgres(service: Service, month: Month) -> int:
    """The number of trips of a month in the Postgres table."""
    count = text(f"SELECT count(*) FROM {tables.trips(service).name} WHERE month = :month")
    with transaction(PostgresConfig.from_settings(load_settings()).reachable()) as connection:
        return int(connection.execute(count, {"month": month.first_day}).scalar_one())


def assert_safe_preview(preview: pd.DataFrame) -> None:
    """Assert that Mage's UI can show a preview: at most 1,000 rows, no lists or dicts in cells."""
    assert len(preview) <= 1000, f"the preview has {len(preview)} rows, more than 1000."
    for column in preview.columns:
        is_nested = any(isinstance(value, list | dict | set) for value in preview[column])
        assert not is_nested, f"column {column} of the preview holds lists: join them to text."
