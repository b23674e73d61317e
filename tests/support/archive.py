"""A minimal destination, which only tests register."""

from __future__ import annotations

from nyc_taxi.load.registry import Registration
from nyc_taxi.load.warehouse.duckdb.config import DuckDbConfig
from nyc_taxi.load.warehouse.duckdb.load import DuckDb
from nyc_taxi.settings import Settings

REGISTRATION = Registration("archive", "Archive", "tests.support.archive:Archive", loads_after=("gcs",))


class Archive(DuckDb):
    """A Destination: a second DuckDB file in the workspace."""

    name = "archive"

    @classmethod
    def from_settings(cls, settings: Settings) -> Archive:
        """See Destination."""
        return cls(DuckDbConfig(settings.workspace / "archive.duckdb"))
