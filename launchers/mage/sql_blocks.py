"""A patch of SQL blocks on DuckDB: `{{ df_1 }}`, the data frame of the block above.

Mage 0.9.80 writes the data frame into the schema of the profile, and then reads the table without a schema.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any


def patch_duckdb_blocks() -> None:
    """Write and read the data frame in the schema of the block, or else in that of its profile."""
    from mage_ai.data_preparation.models.block.sql import duckdb
    from mage_ai.data_preparation.models.block.sql.utils import shared

    def create_upstream_block_tables(loader: Any, block: Any, **options: Any) -> None:
        keys = ["DUCKDB_DATABASE", "DUCKDB_SCHEMA"]
        schema = loader.default_schema()
        shared.create_upstream_block_tables(loader, block, cache_keys=keys, schema_name=schema, **options)

    def interpolate_input_data(block: Any, query: str, **options: Any) -> str:
        def name(_database: str, schema: str, table: str) -> str:
            return f"{schema}.{table}"

        return str(
            shared.interpolate_input(block, query, name, get_schema=lambda _: _schema_of(block), **options)
        )

    duckdb.create_upstream_block_tables = create_upstream_block_tables
    duckdb.interpolate_input_data = interpolate_input_data


def _schema_of(block: Any) -> str:
    """The schema of the profile that an SQL block names."""
    from mage_ai.io.config import ConfigFileLoader

    profile = ConfigFileLoader(
        Path(block.repo_path, "io_config.yaml"), block.configuration.get("data_provider_profile")
    )
    return profile["DUCKDB_SCHEMA"] or "main"
