"""Servers that tests of several destinations use."""

from tests.support.bigquery import bigquery, emulator, shared_dataset  # noqa: F401
from tests.support.clouds import gcs_server  # noqa: F401
from tests.support.destinations import (  # noqa: F401
    archive_destination,
    bigquery_destination,
    duckdb_destination,
    gcs_destination,
    postgres_destination,
    s3_destination,
)
from tests.support.servers import quick  # noqa: F401
