"""The destinations by name."""

from __future__ import annotations

from nyc_taxi.errors import SettingsError
from nyc_taxi.load.contract import Destination
from nyc_taxi.settings import profile

NAMES = ("postgres", "gcs", "s3", "bigquery", "duckdb")
"""In the order they are loaded: BigQuery takes a month from the bucket when it is there."""


def open_destination(name: str) -> Destination:
    """Connect to a destination; raises SettingsError that lists the names."""
    if name == "postgres":
        from nyc_taxi.load.postgres.load import Postgres

        return Postgres()
    if name == "gcs":
        from nyc_taxi.load.object_store.gcs.load import Gcs

        return Gcs()
    if name == "s3":
        from nyc_taxi.load.object_store.s3.load import S3

        return S3()
    if name == "bigquery":
        from nyc_taxi.load.warehouse.bigquery.load import BigQuery

        return BigQuery()
    if name == "duckdb":
        from nyc_taxi.load.warehouse.duckdb.load import DuckDb

        return DuckDb()
    raise SettingsError(f"destination {name!r} is not known: use one of {', '.join(NAMES)}.")


def parse_names(text: str) -> list[str]:
    """`postgres, gcs` as a list, in the order to load them; raises SettingsError for an unknown name.

    `auto` stands for every destination there is: Postgres, GCS and the warehouse, each by a stand-in
    where it is not configured, and S3 where it is.
    """
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    if "auto" in names:
        names += _automatic()
    wanted = [name for name in NAMES if name in names]
    unknown = set(names) - set(NAMES) - {"auto"}
    if unknown or not wanted:
        raise SettingsError(
            f"destinations {text!r}: use auto, or one or more of {', '.join(NAMES)}, separated by commas."
        )
    return wanted


def _automatic() -> list[str]:
    configured = profile()
    warehouse = "bigquery" if "BIGQUERY_DATASET" in configured else "duckdb"
    return ["postgres", "gcs", warehouse, *(["s3"] if "S3_BUCKET" in configured else [])]
