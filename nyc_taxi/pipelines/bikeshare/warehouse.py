"""The bike-share's warehouse: BigQuery if configured, otherwise the DuckDB file."""

from __future__ import annotations

import dataclasses

from nyc_taxi.load.warehouse.engine import Engine
from nyc_taxi.pipelines.bikeshare.config import BikeshareConfig


def open_warehouse(config: BikeshareConfig) -> Engine:
    """Return the dataset or schema of the pipeline's tables; connects on first use."""
    if "BIGQUERY_DATASET" in config.settings.connections:
        from nyc_taxi.load.warehouse.bigquery.config import BigQueryConfig
        from nyc_taxi.load.warehouse.bigquery.engine import BigQueryEngine

        trips = BigQueryConfig.from_settings(config.settings)
        return BigQueryEngine(dataclasses.replace(trips, dataset=config.dataset, setting="BIKESHARE_DATASET"))
    from nyc_taxi.load.warehouse.duckdb.config import DuckDbConfig
    from nyc_taxi.load.warehouse.duckdb.engine import DuckDbEngine

    return DuckDbEngine(DuckDbConfig.from_settings(config.settings), config.dataset)
