"""The warehouse of the bike-share flow: BigQuery where it is configured, otherwise the DuckDB file."""

from __future__ import annotations

from nyc_taxi.pipelines.bikeshare.config import Place
from nyc_taxi.pipelines.bikeshare.warehouse.base import Warehouse
from nyc_taxi.settings import profile


def open_warehouse(place: Place) -> Warehouse:
    """The warehouse that holds the place's data."""
    if "BIGQUERY_DATASET" in profile():
        from nyc_taxi.pipelines.bikeshare.warehouse.bigquery import BigQueryWarehouse

        return BigQueryWarehouse(place.dataset)
    from nyc_taxi.pipelines.bikeshare.warehouse.duckdb import DuckDbWarehouse

    return DuckDbWarehouse(place.dataset)
