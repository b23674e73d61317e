"""The layout of the lake, the same below a bucket's prefix as in a local folder.

raw/service=green/month=2020-04/sha256=0123456789ab/green_tripdata_2020-04.csv.gz
raw/service=green/month=2020-04/sha256=0123456789ab/source.json
versions/service=green/month=2020-04/version=89abcdef0123/{trips,quarantine,quality}.parquet
versions/service=green/month=2020-04/version=89abcdef0123/manifest.json
lookups/zones/sha256=0123456789ab/{taxi_zone_lookup.csv,source.json}
reports/green-2020-04.html
"""

from __future__ import annotations

from nyc_taxi.model.months import Month, Service

RAW = "raw/"
VERSIONS = "versions/"

SOURCE = "source.json"
"""Describes a raw file."""
MANIFEST = "manifest.json"
"""Describes a version; written last."""
FILES = ("trips.parquet", "quarantine.parquet", "quality.parquet")
"""The refined files of a version."""


def raw_folder(service: Service, month: Month, sha256: str) -> str:
    """Return the folder of one raw file, with a trailing slash."""
    return f"{raw_month(service, month)}sha256={sha256[:12]}/"


def raw_month(service: Service, month: Month) -> str:
    """Return the folder of all raw files of a month."""
    return f"{RAW}{_partition(service, month)}"


def lookup_folder(lookup: str, sha256: str = "") -> str:
    """The folder of one file of a lookup, or of all its files; ends with a slash."""
    return f"lookups/{lookup}/{f'sha256={sha256[:12]}/' if sha256 else ''}"


def version_folder(service: Service, month: Month, version: str) -> str:
    """Return the folder of one version of a month, with a trailing slash."""
    return f"{version_month(service, month)}version={version}/"


def version_month(service: Service, month: Month) -> str:
    """Return the folder of all versions of a month."""
    return f"{VERSIONS}{_partition(service, month)}"


def report_key(service: Service, month: Month) -> str:
    """Return the key of the page on a month, in a bucket or in a workspace."""
    return f"reports/{service}-{month}.html"


def _partition(service: Service, month: Month) -> str:
    return f"service={service}/month={month}/"
