"""Servers that tests of several destinations use."""

from tests.bigquery import bigquery, emulator, shared_dataset  # noqa: F401
from tests.clouds import gcs_server  # noqa: F401
