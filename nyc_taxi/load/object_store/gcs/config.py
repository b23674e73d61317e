"""Where GCS is: the profile of io_config.yaml, or the embedded server."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from nyc_taxi.load.object_store.store import bucket_name
from nyc_taxi.settings import profile, settings


@dataclass(frozen=True)
class GcsConfig:
    """A bucket, and how to get in."""

    bucket: str
    prefix: str = ""
    key_file: str = ""
    """Of a service account; empty: application default credentials."""
    endpoint: str = ""
    """Of an emulator, which asks for no credentials; empty: Google."""

    @property
    def where(self) -> str:
        """Bucket and prefix, for people."""
        return f"GCS bucket {self.bucket}{'/' if self.prefix else ''}{self.prefix.strip('/')}"

    def describe(self) -> str:
        """Where it is, and with which credentials."""
        if self.endpoint:
            return f"{self.where} on the emulator {self.endpoint}"
        return f"{self.where} with {self.key_file or 'application default credentials'}"


def configured() -> GcsConfig | None:
    """The target of the GCS_* values; None where GCS_BUCKET is empty."""
    values = profile()
    if "GCS_BUCKET" not in values:
        return None
    endpoint = os.environ.get("STORAGE_EMULATOR_HOST", "")
    return GcsConfig(
        bucket=bucket_name("GCS_BUCKET", str(values["GCS_BUCKET"])),
        prefix=str(values.get("GCS_PREFIX", "")),
        key_file=str(values.get("GOOGLE_SERVICE_ACC_KEY_FILEPATH", "")),
        endpoint=endpoint if "://" in endpoint or not endpoint else f"http://{endpoint}",
    )


def embedded_folder() -> Path:
    """Where the embedded server keeps its data."""
    return settings().workspace / "gcs"


def embedded() -> GcsConfig:
    """The embedded server's bucket; starts the server when it does not run."""
    from nyc_taxi.local import gcs

    server = gcs.ensure(embedded_folder())
    return GcsConfig(server.bucket, endpoint=server.url)
