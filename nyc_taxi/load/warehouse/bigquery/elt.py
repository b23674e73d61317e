"""ELT beside ETL: external tables over the lake's Parquet, and a view that finds the trips in them by SQL.

BigQuery reads the objects of the destination gcs where they are; nothing is loaded. The view applies the
shipped rules that keep rows out of the trips, of yellow and green, to all rows of the files.
"""

from __future__ import annotations

from importlib import resources
from typing import Any

from nyc_taxi.errors import SettingsError
from nyc_taxi.lake.object_store.store import root
from nyc_taxi.load.views.all_rows import all_rows_query
from nyc_taxi.load.warehouse.bigquery.client import quoted
from nyc_taxi.load.warehouse.bigquery.config import BigQueryConfig
from nyc_taxi.load.warehouse.bigquery.tables import DIALECT, field
from nyc_taxi.model.months import Service
from nyc_taxi.schema import LINEAGE_COLUMNS, service_columns
from nyc_taxi.schema.sql import comment
from nyc_taxi.schema.tables import BIGQUERY_TYPES, Table, quarantine, trips

SERVICES = (Service.YELLOW, Service.GREEN)


def external_tables(service: Service, config: BigQueryConfig) -> dict[str, dict[str, Any]]:
    """Resource of the API by name of the tables over the service's trips and quarantine in the bucket.

    The columns are those of our schema; `month`, such as 2020-04, is the hive partition. Raises SettingsError
    where GCS_BUCKET is empty.
    """
    if config.bucket is None:
        raise SettingsError("GCS_BUCKET is not set: name the bucket whose files BigQuery is to read.")
    folder = f"gs://{config.bucket.bucket}/{root(config.bucket.prefix)}"
    tables = {"trips": trips(service), "quarantine": quarantine(service)}
    return {
        f"lake_{table.name}": _resource(table, f"{folder}{kind}/service={service}/")
        for kind, table in tables.items()
    }


def _resource(table: Table, folder: str) -> dict[str, Any]:
    fields = [field(column.name, BIGQUERY_TYPES[column.type], comment(column)) for column in table.columns]
    return {
        "description": f"{table.description} Read from the Parquet in {folder}.",
        "externalDataConfiguration": {
            "sourceFormat": "PARQUET",
            "sourceUris": [f"{folder}*"],
            "schema": {"fields": [each.to_api_repr() for each in fields]},
            "parquetOptions": {"enableListInference": True},  # otherwise a list is a record of records
            "hivePartitioningOptions": {"mode": "CUSTOM", "sourceUriPrefix": f"{folder}{{month:STRING}}"},
        },
    }


def trips_view(service: Service, dataset: str) -> str:
    """The statement that creates `elt_trips_<service>`; `dataset` with its project, as SQL writes it."""
    lake = {
        name: f"(SELECT * REPLACE (PARSE_DATE('%Y-%m', month) AS month) FROM {dataset}.lake_{name}_{service})"
        for name in ("trips", "quarantine")
    }
    all_rows = all_rows_query(service, lake["trips"], lake["quarantine"], DIALECT.types, DIALECT.cell)
    compared = [column.name for column in service_columns(service)]
    columns = ["month", *compared, *(column.name for column in LINEAGE_COLUMNS)]
    text = resources.files(__package__).joinpath("elt_trips.sql").read_text(encoding="utf-8")
    query = text.format(
        service=service, all_rows=all_rows, columns=", ".join(columns), compared=", ".join(compared)
    )
    return f"CREATE OR REPLACE VIEW {dataset}.elt_trips_{service} AS\n{query}"


def qualified_dataset(config: BigQueryConfig) -> str:
    """The dataset as SQL writes it; without a project it is that of the job."""
    return ".".join(quoted(part) for part in (config.project, config.dataset) if part)
