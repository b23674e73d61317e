"""The connection to S3: the profile of io_config.yaml."""

from __future__ import annotations

from dataclasses import dataclass, field

from nyc_taxi.errors import SettingsError
from nyc_taxi.lake.object_store.store import bucket_name
from nyc_taxi.retry import DEFAULT_RETRY, RetryPolicy
from nyc_taxi.settings import Settings


@dataclass(frozen=True)
class S3Config:
    """A bucket, and how to authenticate."""

    bucket: str
    prefix: str = ""
    endpoint: str = ""
    """URL of a compatible store; empty for Amazon S3."""
    region: str = ""
    access_key_id: str = ""
    """Access key; if empty, boto3 searches profiles and roles."""
    secret_access_key: str = field(default="", repr=False)
    session_token: str = field(default="", repr=False)
    retry: RetryPolicy = DEFAULT_RETRY

    @classmethod
    def from_settings(cls, settings: Settings) -> S3Config:
        """Read the S3_* and AWS_* values; raises SettingsError if S3_BUCKET is empty."""
        values = {name: str(value) for name, value in settings.connections.items()}
        if "S3_BUCKET" not in values:
            raise SettingsError(
                "S3_BUCKET is not set: the destination s3 has no emulator and needs a bucket."
            )
        return cls(
            bucket=bucket_name("S3_BUCKET", values["S3_BUCKET"]),
            prefix=values.get("S3_PREFIX", ""),
            endpoint=values.get("AWS_ENDPOINT", ""),
            region=values.get("AWS_REGION", ""),
            access_key_id=values.get("AWS_ACCESS_KEY_ID", ""),
            secret_access_key=values.get("AWS_SECRET_ACCESS_KEY", ""),
            session_token=values.get("AWS_SESSION_TOKEN", ""),
            retry=RetryPolicy.of(settings),
        )

    @property
    def where(self) -> str:
        """Bucket, prefix and endpoint, for users."""
        bucket = f"S3 bucket {self.bucket}{'/' if self.prefix else ''}{self.prefix.strip('/')}"
        return f"{bucket} at {self.endpoint}" if self.endpoint else bucket
