"""Servers that tests of several destinations use."""

from tests.bigquery import bigquery, emulator, shared_dataset  # noqa: F401
