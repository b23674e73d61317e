"""Servers that tests of several destinations use."""

from tests.support.bigquery import bigquery, emulator, shared_dataset  # noqa: F401
from tests.support.clouds import gcs_server  # noqa: F401
