"""Small tables that trips refer to."""

from __future__ import annotations

import io

import pyarrow.parquet as pq

from nyc_taxi.load.contract import Lookup
from nyc_taxi.load.warehouse.bigquery.client import Connection
from nyc_taxi.load.warehouse.bigquery.errors import translate_errors
from nyc_taxi.load.warehouse.bigquery.jobs import finish
from nyc_taxi.load.warehouse.bigquery.tables import field
from nyc_taxi.schema.sql import comment
from nyc_taxi.schema.tables import BIGQUERY_TYPES


def replace_lookup(connection: Connection, lookup: Lookup) -> None:
    """Make the table equal to the rows; the table is small and whole, so truncating it loses nothing."""
    from google.cloud import bigquery

    file = io.BytesIO()
    pq.write_table(lookup.rows, file)
    config = bigquery.LoadJobConfig(
        source_format=bigquery.SourceFormat.PARQUET,
        schema=[
            field(column.name, BIGQUERY_TYPES[column.type], comment(column), column.name == lookup.key)
            for column in lookup.columns
        ],
        write_disposition=bigquery.WriteDisposition.WRITE_TRUNCATE,
        destination_table_description=lookup.description,
    )
    file.seek(0)
    with translate_errors(connection.config):
        job = connection.client.load_table_from_file(
            file,
            connection.name(lookup.name),
            location=connection.location,
            job_config=config,
            timeout=connection.options["timeout"],
        )
    finish(connection, job)
