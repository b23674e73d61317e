"""ELT beside ETL: external BigQuery tables over the lake, and a view that finds the trips in them by SQL."""

from __future__ import annotations

from airflow.providers.common.compat.sdk import dag
from airflow.providers.google.cloud.operators.bigquery import (
    BigQueryCreateTableOperator,
    BigQueryInsertJobOperator,
)

from taxi_airflow import lake_tables, run_params
from taxi_airflow.defaults import common


@dag(
    schedule=None,
    is_paused_upon_creation=False,  # nothing starts it but somebody who wants it
    description="Create external BigQuery tables over the lake's Parquet, and a view that finds the trips",
    doc_md="""
### External tables over the lake

BigQuery reads the Parquet of the destination gcs where it is; nothing is loaded. For each service:

| Table or view | Rows |
|---|---|
| `lake_trips_<service>`, `lake_quarantine_<service>` | the current months, partitioned by `month` |
| `elt_trips_<service>` | the trips among them, as the shipped rules find them, by SQL |

The settings are those of the destination BigQuery: `GCS_BUCKET`, `BIGQUERY_DATASET`. New months appear by
themselves. A table that exists is left alone: drop it and run again after a change of columns.
""",
    params={"services": run_params.SERVICES},
    **common("elt"),
)
def lake_external_tables() -> None:
    tables = BigQueryCreateTableOperator.partial(task_id="create_tables", if_exists="log")
    views = BigQueryInsertJobOperator.partial(task_id="create_views")
    tables.expand_kwargs(lake_tables.external_tables()) >> views.expand(configuration=lake_tables.views())


lake_external_tables()
