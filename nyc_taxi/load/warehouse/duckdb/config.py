"""Where the DuckDB file is: the profile of io_config.yaml, by default in the workspace."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nyc_taxi.settings import Settings, absolute_path

PATIENCE = 300.0
"""Seconds to wait for other processes to close the file: longer than any month takes to load."""


@dataclass(frozen=True)
class DuckDbConfig:
    """A database file, and how to open it."""

    file: Path
    threads: int = 2
    patience: float = PATIENCE
    """Seconds to wait while others have the file open."""
    replaces_bigquery: bool = False
    """Whether it is used because BigQuery is not configured."""

    @classmethod
    def from_settings(cls, settings: Settings) -> DuckDbConfig:
        """DUCKDB_DATABASE, else warehouse.duckdb in the workspace."""
        values = settings.connections
        named, default = values.get("DUCKDB_DATABASE"), settings.workspace / "warehouse.duckdb"
        return cls(
            file=absolute_path(str(named)) if named else default,
            threads=settings.threads,
            replaces_bigquery="BIGQUERY_DATASET" not in values,
        )
