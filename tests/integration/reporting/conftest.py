"""The destinations that months are read from."""

from tests.support.destinations import (
    duckdb_destination,
    gcs_destination,
    postgres_destination,
    s3_destination,
)

__all__ = ["duckdb_destination", "gcs_destination", "postgres_destination", "s3_destination"]
