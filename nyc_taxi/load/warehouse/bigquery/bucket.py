"""The same month in the GCS destination, from where BigQuery reads it without an upload."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nyc_taxi.errors import DestinationError, DestinationUnreachable
from nyc_taxi.load.warehouse.bigquery.config import BigQueryConfig
from nyc_taxi.load.warehouse.bigquery.errors import AccessRefused
from nyc_taxi.model.ledger import LedgerEntry
from nyc_taxi.model.references import MonthFiles

if TYPE_CHECKING:
    from nyc_taxi.load.object_store.gcs import Gcs

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class InBucket:
    """A month's objects, as they were when the bucket was asked."""

    store: Gcs
    row: LedgerEntry
    """What the bucket's manifest says; no two loads into the bucket leave the same."""
    uris: dict[str, str]
    """gs:// addresses by kind of rows."""

    @property
    def identity(self) -> str:
        """Names this state of the objects."""
        return hashlib.sha256(repr(self.row).encode()).hexdigest()[:8]

    def remedy(self, error: AccessRefused, location: str) -> str:
        """What to change so that BigQuery can read the objects; `location`: of the dataset."""
        if error.other_location:
            return f"use a bucket in the dataset's location, {location}"
        return (
            "grant the account roles/storage.objectViewer and roles/storage.legacyBucketReader (for"
            " storage.buckets.get) on the bucket"
        )

    def check_unchanged(self) -> None:
        """Raise DestinationUnreachable when the objects have been replaced since.

        BigQuery cannot be told which generation of an object to read, so it is seen to afterwards.
        """
        if self.store.ledger_entry(self.row.service, self.row.month) != self.row:
            raise DestinationUnreachable(
                f"{self.uris['trips']} was replaced while BigQuery read it; run the month again."
            )


def in_bucket(files: MonthFiles, config: BigQueryConfig) -> InBucket | None:
    """The month in the configured bucket; None when that holds another version or cannot be read.

    An emulator of BigQuery reads from an emulated bucket only.
    """
    from nyc_taxi.lake.object_store.store import root
    from nyc_taxi.load.object_store.gcs import Gcs
    from nyc_taxi.load.object_store.layout import KINDS, data_key

    bucket = config.bucket
    if bucket is None or bool(bucket.endpoint) != bool(config.endpoint):
        return None
    try:
        store = Gcs(bucket)
        row = store.ledger_entry(files.service, files.month)
    except DestinationError as error:
        log.warning("The month is uploaded from this machine, as the bucket cannot be read: %s", error)
        return None
    if row is None or row.version != files.version:
        return None
    folder = f"gs://{bucket.bucket}/{root(bucket.prefix)}"
    return InBucket(store, row, {kind: folder + data_key(kind, files.service, files.month) for kind in KINDS})
