"""An empty destination of each kind, as fixtures."""

from tests.support.destinations import (
    archive_destination,
    bigquery_destination,
    duckdb_destination,
    gcs_destination,
    postgres_destination,
    s3_destination,
)

__all__ = [
    "archive_destination",
    "bigquery_destination",
    "duckdb_destination",
    "gcs_destination",
    "postgres_destination",
    "s3_destination",
]
