"""Buckets and datasets that a test creates for itself, and deletes in the end.

A bucket that exists already is refused: its objects would be deleted.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from nyc_taxi.lake.object_store.gcs.config import GcsConfig, emulator_endpoint
from nyc_taxi.lake.object_store.gcs.errors import translate_errors as gcs_errors
from nyc_taxi.lake.object_store.gcs.store import GcsStore
from nyc_taxi.lake.object_store.s3.config import S3Config
from nyc_taxi.lake.object_store.s3.errors import translate_errors as s3_errors
from nyc_taxi.lake.object_store.s3.store import S3Store
from tests.e2e.cloud.steps import StepFailed


@contextlib.contextmanager
def gcs_bucket(project: str, name: str, location: str) -> Iterator[GcsStore]:
    """A new bucket without soft delete; raises StepFailed if it cannot be created."""
    from google.cloud import storage

    with _creating(f"gs://{name}"), gcs_errors(f"GCS bucket {name}", ""):
        client = storage.Client(project, **_options("STORAGE_EMULATOR_HOST"))
        bucket = client.bucket(name)
        if bucket.exists():
            raise StepFailed("it exists; name a new one")
        bucket.soft_delete_policy.retention_duration_seconds = 0
        bucket.iam_configuration.uniform_bucket_level_access_enabled = True
        client.create_bucket(bucket, location=location)
    try:
        yield GcsStore(GcsConfig(name, endpoint=emulator_endpoint("STORAGE_EMULATOR_HOST")))
    finally:
        for blob in client.list_blobs(name, versions=True):
            blob.delete()
        bucket.delete()


@contextlib.contextmanager
def datasets(project: str, names: list[str], location: str) -> Iterator[Any]:
    """New datasets; yields BigQuery's client. Raises StepFailed if one cannot be created."""
    from google.cloud import bigquery

    client = bigquery.Client(project, **_options("BIGQUERY_EMULATOR_HOST"))
    created = []
    try:
        for name in names:
            dataset = bigquery.Dataset(f"{project}.{name}")
            dataset.location = location
            with _creating(f"the dataset {name}"):
                client.create_dataset(dataset)
            created.append(name)
        yield client
    finally:
        for name in created:
            client.delete_dataset(name, delete_contents=True, not_found_ok=True)


@contextlib.contextmanager
def s3_bucket(config: S3Config) -> Iterator[S3Store]:
    """A new bucket at the endpoint of the config; raises StepFailed if it cannot be created."""
    from botocore.exceptions import ClientError

    store = S3Store(config)
    client, bucket = store._client, {"Bucket": config.bucket}
    region = config.region if config.region not in ("", "us-east-1") else None
    where = {"CreateBucketConfiguration": {"LocationConstraint": region}} if region else {}
    with _creating(f"s3://{config.bucket}"), s3_errors(config.where):
        # Amazon answers 200 to the creation of a bucket that one has already
        if _exists(client, config.bucket):
            raise StepFailed("it exists; name a new one")
        client.create_bucket(**bucket, **where)
    try:
        yield store
    finally:
        for page in client.get_paginator("list_objects_v2").paginate(**bucket):
            for item in page.get("Contents", []):
                client.delete_object(**bucket, Key=item["Key"])
        with contextlib.suppress(ClientError):  # not every service lists them
            for upload in client.list_multipart_uploads(**bucket).get("Uploads", []):
                client.abort_multipart_upload(**bucket, Key=upload["Key"], UploadId=upload["UploadId"])
        client.delete_bucket(**bucket)


def _exists(client: Any, bucket: str) -> bool:
    from botocore.exceptions import ClientError

    try:
        client.head_bucket(Bucket=bucket)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return False
        raise
    return True


@contextlib.contextmanager
def _creating(what: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise StepFailed(f"{what} cannot be created: {error}") from error


def _options(variable: str) -> dict[str, Any]:
    """Options of a client: for the emulator that the environment names, if any."""
    from google.auth.credentials import AnonymousCredentials

    endpoint = emulator_endpoint(variable)
    if not endpoint:
        return {}
    return {"credentials": AnonymousCredentials(), "client_options": {"api_endpoint": endpoint}}
