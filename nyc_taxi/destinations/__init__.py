"""The destinations by name."""

from __future__ import annotations

from nyc_taxi.destinations.base import Destination
from nyc_taxi.errors import SettingsError

NAMES = ("postgres", "gcs", "s3", "bigquery", "duckdb")


def open_destination(name: str) -> Destination:
    """Connect to a destination; raises SettingsError that lists the names."""
    if name == "postgres":
        from nyc_taxi.destinations.postgres import Postgres

        return Postgres()
    if name == "gcs":
        from nyc_taxi.destinations.objects.gcs import Gcs

        return Gcs()
    if name == "s3":
        from nyc_taxi.destinations.objects.s3 import S3

        return S3()
    if name == "bigquery":
        from nyc_taxi.destinations.bigquery import BigQuery

        return BigQuery()
    if name == "duckdb":
        from nyc_taxi.destinations.duckdb import DuckDb

        return DuckDb()
    raise SettingsError(f"destination {name!r} is not known: use one of {', '.join(NAMES)}.")


def parse_names(text: str) -> list[str]:
    """`postgres, gcs` as a list; raises SettingsError for an unknown or a missing name."""
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in NAMES:
            raise SettingsError(f"destination {name!r} is not known: use one of {', '.join(NAMES)}.")
    if not names:
        raise SettingsError(
            f"no destination is given: use one or more of {', '.join(NAMES)}, separated by commas."
        )
    return list(dict.fromkeys(names))
