"""Where GCS is: the profile of io_config.yaml, or the embedded server."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path

from nyc_taxi.lake.object_store.store import bucket_name
from nyc_taxi.retry import DEFAULT_RETRY, RetryPolicy
from nyc_taxi.settings import Settings


def emulator_endpoint(variable: str) -> str:
    """The URL in a variable such as STORAGE_EMULATOR_HOST, which may omit `http://`; empty without it."""
    endpoint = os.environ.get(variable, "")
    return endpoint if "://" in endpoint or not endpoint else f"http://{endpoint}"


@dataclass(frozen=True)
class GcsConfig:
    """A bucket, and how to authenticate."""

    bucket: str
    prefix: str = ""
    key_file: str = ""
    """Of a service account; empty: application default credentials."""
    endpoint: str = ""
    """Of an emulator, which asks for no credentials; empty: Google."""
    embedded: Path | None = None
    """Data folder of the embedded server, which is started when it is needed."""
    retry: RetryPolicy = DEFAULT_RETRY

    @classmethod
    def from_settings(cls, settings: Settings) -> GcsConfig:
        """The GCS_* values; the embedded server where GCS_BUCKET is empty."""
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
    def where(self) -> str:
        """Bucket and prefix, for people."""
        return f"GCS bucket {self.bucket}{'/' if self.prefix else ''}{self.prefix.strip('/')}"

    def describe(self) -> str:
        """Where it is, and with which credentials."""
        if self.embedded:
            return f"GCS emulator in {self.embedded}, bucket {self.bucket} (GCS_BUCKET is not set)"
        if self.endpoint:
            return f"{self.where} on the emulator {self.endpoint}"
        return f"{self.where} with {self.key_file or 'application default credentials'}"

    def reachable(self) -> GcsConfig:
        """The same with an endpoint: starts the embedded server where that is the one."""
        if not self.embedded:
            return self
        from nyc_taxi.local import gcs

        server = gcs.ensure(self.embedded)
        return dataclasses.replace(self, bucket=server.bucket, endpoint=server.url, embedded=None)
