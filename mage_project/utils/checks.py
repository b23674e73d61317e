"""What the blocks' tests look up: figures that come from the files and tables themselves."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pandas as pd
from sqlalchemy import text

from nyc_taxi.load.postgres.client import transaction
from nyc_taxi.load.postgres.config import configured
from nyc_taxi.load.postgres.tables import trips_of
from nyc_taxi.model.months import Month, Service


def sha256(path: Path | str) -> str:
    """SHA-256 of a file as it lies on disk now, in hex."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def rows_in_postgres(service: Service, month: Month) -> int:
    """Trips of a month that are in the table now."""
    counting = text(f"SELECT count(*) FROM {trips_of(service)} WHERE month = :month")
    with transaction(configured().reachable()) as connection:
        return int(connection.execute(counting, {"month": month.first_day}).scalar_one())


def assert_safe_preview(preview: pd.DataFrame) -> None:
    """A preview that Mage's pages can show: a thousand rows at most, no lists or dicts in cells."""
    assert len(preview) <= 1000, f"the preview has {len(preview)} rows: 1000 at most are kept."
    for column in preview.columns:
        nested = any(isinstance(value, list | dict | set) for value in preview[column])
        assert not nested, f"column {column} of the preview holds lists: join them to text."
