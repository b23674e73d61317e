"""The destination s3."""

from __future__ import annotations

from nyc_taxi.lake.object_store.s3.config import S3Config
from nyc_taxi.lake.object_store.s3.store import S3Store
from nyc_taxi.load.object_store.months import ObjectMonths
from nyc_taxi.settings import Settings


class S3(ObjectMonths):
    """A Destination: a bucket of Amazon S3, or of a store that speaks its protocol."""

    name = "s3"

    def __init__(self, config: S3Config, is_lake: bool = False) -> None:
        super().__init__(config.where, lambda: S3Store(config), config.retry, is_lake)

    @classmethod
    def from_settings(cls, settings: Settings) -> S3:
        """See Destination."""
        return cls(S3Config.from_settings(settings), settings.lake_backend == "s3")
