"""Which object of a month lies where: each kind below a root of its own, which is a data set by itself.

    trips/service=green/month=2020-04/trips.parquet
    quarantine/service=green/month=2020-04/quarantine.parquet
    quality/service=green/month=2020-04/quality.parquet
    manifests/service=green/month=2020-04/manifest.json
    ledger/service=green/month=2020-04/20201120T112340123456Z-<run id>.json

The folders are hive partitions: engines read `trips/*/*/trips.parquet` as one table that has the
columns `service` and `month`, which the files do not have.
"""

from __future__ import annotations

import re

from nyc_taxi.model.ledger import LedgerEntry
from nyc_taxi.model.months import Month, Service

KINDS = ("quality", "quarantine", "trips")
"""The kinds of Parquet in the order they are written: trips, which most readers read, come last."""

MANIFESTS = "manifests/"

_MANIFEST = re.compile(
    rf"{MANIFESTS}service=({'|'.join(Service)})/month=(2\d{{3}}-(?:0[1-9]|1[0-2]))/manifest\.json"
)


def data_key(kind: str, service: Service, month: Month) -> str:
    """Where one kind of a month's rows lies."""
    return f"{kind}/{_partition(service, month)}/{kind}.parquet"


def manifest_key(service: Service, month: Month) -> str:
    """Where the current ledger row of a month lies."""
    return f"{MANIFESTS}{_partition(service, month)}/manifest.json"


def history_folder(service: Service, month: Month) -> str:
    """Where all loads of a month are kept for good; ends with a slash."""
    return f"ledger/{_partition(service, month)}/"


def history_key(entry: LedgerEntry) -> str:
    """Where one load is kept for good; loads of a month sort by when they ended."""
    run = re.sub(r"[^A-Za-z0-9._-]+", "_", entry.run_id)  # orchestrators put colons and more into theirs
    folder = history_folder(entry.service, entry.month)
    return f"{folder}{entry.finished_at:%Y%m%dT%H%M%S%fZ}-{run}.json"


def month_of(key: str) -> tuple[Service, Month] | None:
    """The month a manifest belongs to; None for any other key."""
    match = _MANIFEST.fullmatch(key)
    return (Service(match[1]), Month.parse(match[2])) if match else None


def _partition(service: Service, month: Month) -> str:
    return f"service={service}/month={month}"
