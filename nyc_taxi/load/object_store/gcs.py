"""The destination gcs."""

from __future__ import annotations

from nyc_taxi.lake.object_store.gcs.config import GcsConfig
from nyc_taxi.lake.object_store.gcs.store import GcsStore
from nyc_taxi.load.object_store.months import ObjectMonths
from nyc_taxi.settings import Settings


class Gcs(ObjectMonths):
    """A Destination: a bucket of Google Cloud Storage or of the embedded server."""

    name = "gcs"

    def __init__(self, config: GcsConfig, is_lake: bool = False) -> None:
        super().__init__(config.describe(), lambda: GcsStore(config.reachable()), config.retry, is_lake)

    @classmethod
    def from_settings(cls, settings: Settings) -> Gcs:
        """See Destination."""
        return cls(GcsConfig.from_settings(settings), settings.lake_backend == "gcs")
