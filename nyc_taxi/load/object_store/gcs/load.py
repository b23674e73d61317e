"""Google Cloud Storage, or the embedded server where no bucket is configured."""

from __future__ import annotations

from nyc_taxi.load.object_store.gcs.config import GcsConfig, configured, embedded, embedded_folder
from nyc_taxi.load.object_store.gcs.store import GcsStore
from nyc_taxi.load.object_store.months import ObjectMonths

__all__ = ["Gcs", "Target", "configured"]


class Gcs(ObjectMonths):
    """A Destination: the bucket that io_config.yaml names, or the embedded server where it names none."""

    name = "gcs"

    def __init__(self, target: GcsConfig | None = None) -> None:
        """`target`: another bucket than the configured one."""
        chosen = target or configured()
        if chosen:
            super().__init__(chosen.describe(), lambda: GcsStore(chosen))
        else:
            where = f"embedded GCS server in {embedded_folder()}, bucket taxi (GCS_BUCKET is not set)"
            super().__init__(where, lambda: GcsStore(embedded()))
