"""Amazon S3, or a store that speaks its protocol (AWS_ENDPOINT): MinIO, R2, Ceph and others."""

from __future__ import annotations

from nyc_taxi.load.object_store.months import ObjectMonths
from nyc_taxi.load.object_store.s3.config import S3Config, configured
from nyc_taxi.load.object_store.s3.store import S3Store

__all__ = ["S3", "Target", "configured"]


class S3(ObjectMonths):
    """A Destination: the bucket that io_config.yaml names."""

    name = "s3"

    def __init__(self, target: S3Config | None = None) -> None:
        """`target`: another bucket than the configured one."""
        chosen = target or configured()
        super().__init__(chosen.where, lambda: S3Store(chosen))
