"""The connection to GCS: the profile of io_config.yaml, or the embedded emulator."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path

from nyc_taxi.lake.object_store.store import bucket_name
from nyc_taxi.retry import DEFAULT_RETRY, RetryPolicy
from nyc_taxi.settings import Settings


def emulator_endpoint(variable: str) -> str:
    """Return the URL in a variable such as STORAGE_EMULATOR_HOST, adding `http://`; empty if unset."""
    endpoint = os.environ.get(variable, "")
    return endpoint if "://" in endpoint or not endpoint else f"http://{endpoint}"


@dataclass(frozen=True)
class GcsConfig:
    """A bucket, and how to authenticate."""

    bucket: str
    prefix: str = ""
    key_file: str = ""
    """Key file of a service account; empty for application default credentials."""
    endpoint: str = ""
    """URL of an emulator, which needs no credentials; empty for Google."""
    embedded: Path | None = None
    """Data folder of the embedded emulator, which is started on first use."""
    retry: RetryPolicy = DEFAULT_RETRY

    @classmethod
    def from_settings(cls, settings: Settings) -> GcsConfig:
        """Read the GCS_* values; selects the embedded emulator if GCS_BUCKET is empty."""
        values, retry = settings.connections, RetryPolicy.of(settings)
        if "GCS_BUCKET" not in values:
            return cls("taxi", embedded=settings.workspace / "gcs", retry=retry)
        return cls(
            bucket=bucket_name("GCS_BUCKET", str(values["GCS_BUCKET"])),
            prefix=str(values.get("GCS_PREFIX", "")),
            key_file=str(values.get("GOOGLE_SERVICE_ACC_KEY_FILEPATH", "")),
            endpoint=emulator_endpoint("STORAGE_EMULATOR_HOST"),
            retry=retry,
        )

    @property
    def is_google(self) -> bool:
        """Whether the bucket is at Google, not in an emulator."""
        return not (self.endpoint or self.embedded)

    @property
    def where(self) -> str:
        """Bucket and prefix, for users."""
        return f"GCS bucket {self.bucket}{'/' if self.prefix else ''}{self.prefix.strip('/')}"

    def describe(self) -> str:
        """Return location and credentials, for users."""
        if self.embedded:
            return f"GCS emulator in {self.embedded}, bucket {self.bucket} (GCS_BUCKET is not set)"
        if self.endpoint:
            return f"{self.where} on the emulator {self.endpoint}"
        return f"{self.where} with {self.key_file or 'application default credentials'}"

    def reachable(self) -> GcsConfig:
        """Return a config with an endpoint, starting the embedded emulator if it is selected."""
        if not self.embedded:
            return self
        from nyc_taxi.local import gcs

        server = gcs.ensure(self.embedded)
        return dataclasses.replace(self, bucket=server.bucket, endpoint=server.url, embedded=None)
