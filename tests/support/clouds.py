"""Object stores for tests: a local bucket behind injected faults, and direct access to it."""

from __future__ import annotations

import functools
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import boto3
import botocore.session
from moto.s3.models import s3_backends

from nyc_taxi.lake.object_store.gcs.config import GcsConfig
from nyc_taxi.lake.object_store.s3.config import S3Config
from nyc_taxi.load.object_store.gcs import Gcs
from nyc_taxi.load.object_store.months import ObjectMonths
from nyc_taxi.load.object_store.s3 import S3
from nyc_taxi.local import gcs as embedded
from nyc_taxi.retry import RetryPolicy
from nyc_taxi.settings import load_settings
from tests.support.moto_s3 import moto_s3
from tests.support.stub_gcs import StubGcs
from tests.support.wsgi import Faulty, serve

# Loading boto3's service model of S3 takes longer than a test: clients share it.
botocore.session.create_loader = functools.cache(botocore.session.create_loader)

Objects = dict[str, tuple[bytes, dict[str, str]]]
"""Bytes and custom metadata by key."""


class Cloud(Protocol):
    """A bucket."""

    name: str
    """Of the destination."""
    faulty: Faulty
    write: str
    """HTTP method that writes a small object."""

    def target(self, prefix: str = "", url: str = "") -> GcsConfig | S3Config:
        """Return the config of the bucket, optionally at another URL."""
        ...

    def destination(self, prefix: str = "", url: str = "") -> ObjectMonths:
        """Return the destination in the bucket."""
        ...

    def objects(self) -> Objects:
        """Return all objects of the bucket."""
        ...

    def environment(self) -> dict[str, str]:
        """Return the variables that select the bucket."""
        ...

    def overwrite(self, key: str, data: bytes) -> None:
        """Replace an object's bytes, keeping its metadata."""
        ...

    def remove(self, key: str) -> None:
        """Delete an object."""
        ...


@dataclass
class GcsCloud:
    """The stub of the JSON API."""

    url: str
    faulty: Faulty
    stub: StubGcs
    name = "gcs"
    write = "POST"

    def environment(self) -> dict[str, str]:
        return {"GCS_BUCKET": "taxi", "GCS_PREFIX": "", "STORAGE_EMULATOR_HOST": self.url}

    def target(self, prefix: str = "", url: str = "") -> GcsConfig:
        return GcsConfig("taxi", prefix, endpoint=url or self.url, retry=RetryPolicy.of(load_settings()))

    def destination(self, prefix: str = "", url: str = "") -> ObjectMonths:
        return Gcs(self.target(prefix, url))

    def objects(self) -> Objects:
        return {
            key: (data, resource["metadata"]) for key, (resource, data) in sorted(self.stub.objects.items())
        }

    def overwrite(self, key: str, data: bytes) -> None:
        self.stub.store(key, self.stub.objects[key][0], data)

    def remove(self, key: str) -> None:
        del self.stub.objects[key]


@dataclass(eq=False)
class S3Cloud:
    """moto."""

    url: str
    faulty: Faulty
    client: Any
    """A boto3 client that bypasses the faults."""
    bucket: str = field(default_factory=lambda: f"bucket-{uuid.uuid4().hex[:12]}")
    name = "s3"
    write = "PUT"

    def environment(self) -> dict[str, str]:
        return {
            "S3_BUCKET": self.bucket,
            "S3_PREFIX": "",
            "AWS_ENDPOINT": self.url,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_SESSION_TOKEN": "",
        }

    def target(self, prefix: str = "", url: str = "") -> S3Config:
        return S3Config(
            self.bucket,
            prefix,
            url or self.url,
            "us-east-1",
            "key",
            "secret",
            retry=RetryPolicy.of(load_settings()),
        )

    @functools.cache  # noqa: B019 (boto3 is slow to open one)
    def destination(self, prefix: str = "", url: str = "") -> ObjectMonths:
        return S3(self.target(prefix, url))

    def objects(self) -> Objects:
        listed = self.client.list_objects_v2(Bucket=self.bucket).get("Contents", [])
        got = {item["Key"]: self.client.get_object(Bucket=self.bucket, Key=item["Key"]) for item in listed}
        return {key: (answer["Body"].read(), answer["Metadata"]) for key, answer in got.items()}

    def overwrite(self, key: str, data: bytes) -> None:
        metadata = self.client.head_object(Bucket=self.bucket, Key=key)["Metadata"]
        self.client.put_object(Bucket=self.bucket, Key=key, Body=data, Metadata=metadata)

    def remove(self, key: str) -> None:
        self.client.delete_object(Bucket=self.bucket, Key=key)


@contextmanager
def gcs_cloud() -> Iterator[GcsCloud]:
    """Yield an empty GCS bucket."""
    stub = StubGcs()
    faulty = Faulty(stub)
    with serve(faulty) as url:
        yield GcsCloud(url, faulty, stub)


@contextmanager
def s3_cloud() -> Iterator[S3Cloud]:
    """Yield an empty S3 bucket; only one at a time, because moto resets all buckets at the end."""
    faulty = Faulty(moto_s3)
    with serve(faulty) as url, serve(Faulty(moto_s3)) as direct:
        client = boto3.client(
            "s3",
            endpoint_url=direct,
            region_name="us-east-1",
            aws_access_key_id="key",
            aws_secret_access_key="secret",
        )
        cloud = S3Cloud(url, faulty, client)
        client.create_bucket(Bucket=cloud.bucket)
        yield cloud
    s3_backends.reset()


@contextmanager
def gcs_server() -> Iterator[embedded.Server]:
    """An embedded server."""
    with tempfile.TemporaryDirectory(prefix="nyc-taxi-") as folder:
        try:
            yield embedded.ensure(Path(folder) / "gcs")
        finally:
            embedded.stop(Path(folder) / "gcs")
