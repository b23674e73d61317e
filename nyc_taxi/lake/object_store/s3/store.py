"""Objects in S3, written by single or multipart uploads."""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import functools
import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from nyc_taxi.errors import DestinationError, PreconditionFailed
from nyc_taxi.lake.object_store.s3.config import S3Config
from nyc_taxi.lake.object_store.s3.errors import translate_errors
from nyc_taxi.lake.object_store.store import (
    PART_BYTES,
    Content,
    Sent,
    Stored,
    root,
    timeouts,
    verify_checksum,
)

T = TypeVar("T")

STALE = dt.timedelta(days=1)
"""Age after which an unfinished upload is considered abandoned; its parts cost money until aborted."""


class S3Store:
    """The Store protocol over boto3, with its own retries disabled."""

    def __init__(self, config: S3Config) -> None:
        self._retry = config.retry
        self._where = config.where
        self._root = root(config.prefix)
        self._bucket = config.bucket
        self._uri = f"s3://{config.bucket}/{self._root}"
        self._translate_errors = functools.partial(translate_errors, config.where)
        with self._translate_errors():
            self._client = _client(config)

    def head(self, key: str) -> Stored | None:
        """See Store."""
        return self._find(
            "head_object",
            key,
            lambda response: _stored(response, response["ContentLength"], response.get("Metadata", {})),
        )

    def read(self, key: str) -> tuple[bytes, str] | None:
        """See Store."""
        return self._find("get_object", key, lambda response: (response["Body"].read(), response["ETag"]))

    def download(self, key: str, path: Path) -> bool:
        """See Store."""

        def save(response: dict[str, Any]) -> bool:
            with path.open("wb") as file:
                for part in response["Body"].iter_chunks(PART_BYTES):
                    file.write(part)
            return True

        return bool(self._find("get_object", key, save))

    def copy(self, source: str, key: str, tag: str | None) -> None:
        """See Store. Does not support objects above 5 GB, which S3 copies in parts only; none occur."""
        self._change("copy_object", key, tag, CopySource={"Bucket": self._bucket, "Key": self._root + source})

    def delete(self, key: str, tag: str) -> None:
        """See Store. Stores without conditional deletes ignore the precondition."""
        self._change("delete_object", key, tag)

    def uri(self, key: str) -> str:
        """See Store."""
        return self._uri + key

    def keys(self, prefix: str) -> list[str]:
        """See Store."""

        def names() -> list[str]:
            with self._translate_errors():
                pages = self._client.get_paginator("list_objects_v2").paginate(
                    Bucket=self._bucket, Prefix=self._root + prefix
                )
                listed = [item["Key"] for page in pages for item in page.get("Contents", [])]
            return [key.removeprefix(self._root) for key in listed]

        return self._retry.call(names)

    def digest(self, content: Content) -> str:
        """Return the ETag that S3 derives from the MD5s of the uploaded parts."""
        return _etag([_md5(part) for _, part in _parts(content)])

    def put(
        self, key: str, content: Content, metadata: Mapping[str, str], tag: str | None, sent: Sent
    ) -> Stored:
        """See Store. S3 rejects parts that do not match their checksum."""
        what = {"Metadata": dict(metadata), "ContentType": content.type}
        if content.size > PART_BYTES:
            response, digest = self._send_parts(key, content, what, tag, sent)
        else:
            ((_, data),) = _parts(content)
            md5 = _md5(data)
            response = self._change("put_object", key, tag, Body=data, ContentMD5=_base64(md5), **what)
            digest = _etag([md5])
            sent(content.size)
        return verify_checksum(_stored(response, content.size, metadata), digest, f"{self._where}: {key}")

    def _send_parts(
        self, key: str, content: Content, what: dict[str, Any], tag: str | None, sent: Sent
    ) -> tuple[dict[str, Any], str]:
        """Upload in parts; returns the response to the completion and the checksum of the uploaded bytes."""
        self._abort_stale(key)
        upload = {"UploadId": self._call("create_multipart_upload", key, **what)["UploadId"]}
        try:
            parts, md5s, done = [], [], 0
            for number, data in _parts(content):
                md5s.append(_md5(data))
                part = {"PartNumber": number}
                response = self._call(
                    "upload_part", key, Body=data, ContentMD5=_base64(md5s[-1]), **upload, **part
                )
                parts.append({"ETag": response["ETag"], **part})
                done += len(data)
                sent(done)
            together = {"MultipartUpload": {"Parts": parts}}
            response = self._change("complete_multipart_upload", key, tag, **together, **upload)
            if not response.get("ETag"):  # Ceph 16 leaves it empty
                response = self._find("head_object", key, dict) or response
            return response, _etag(md5s)
        except BaseException:
            with contextlib.suppress(DestinationError):
                self._call("abort_multipart_upload", key, **upload)
            raise

    def _abort_stale(self, key: str) -> None:
        """Abort abandoned uploads of the key, if permitted."""
        with contextlib.suppress(DestinationError):
            unfinished = self._retry.call(lambda: self._unfinished(key))
            for upload in unfinished:
                if upload["Initiated"] < dt.datetime.now(dt.UTC) - STALE:
                    self._call("abort_multipart_upload", key, UploadId=upload["UploadId"])

    def _unfinished(self, key: str) -> list[dict[str, Any]]:
        with self._translate_errors():
            response = self._client.list_multipart_uploads(Bucket=self._bucket, Prefix=self._root + key)
            return [upload for upload in response.get("Uploads", []) if upload["Key"] == self._root + key]

    def _change(self, operation: str, key: str, tag: str | None, **arguments: Any) -> dict[str, Any]:
        """Call an operation on the condition that the object has this tag; None: that there is no object."""
        if tag is None:
            return self._call(operation, key, IfNoneMatch="*", **arguments)
        try:
            return self._call(operation, key, IfMatch=tag, **arguments)
        except PreconditionFailed:
            stored = self.head(key)
            if stored is None or stored.tag != tag:
                raise
            # Ceph takes the quotes for a part of the ETag
            return self._call(operation, key, IfMatch=tag.strip('"'), **arguments)

    def _call(self, operation: str, key: str, **arguments: Any) -> dict[str, Any]:
        def once() -> dict[str, Any]:
            with self._translate_errors():
                method = getattr(self._client, operation)
                response: dict[str, Any] = method(Bucket=self._bucket, Key=self._root + key, **arguments)
                return response

        return self._retry.call(once)

    def _find(self, operation: str, key: str, use: Callable[[dict[str, Any]], T]) -> T | None:
        """Call the operation and return `use(response)`; None if the object does not exist."""
        from botocore.exceptions import ClientError

        def once() -> T | None:
            with self._translate_errors():
                try:
                    return use(getattr(self._client, operation)(Bucket=self._bucket, Key=self._root + key))
                except ClientError as error:
                    if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
                        return None
                    raise

        return self._retry.call(once)


def _stored(response: Mapping[str, Any], size: int, metadata: Mapping[str, str]) -> Stored:
    # With a KMS or customer key the ETag is not a checksum.
    encrypted = "SSECustomerAlgorithm" in response or "kms" in response.get("ServerSideEncryption", "")
    return Stored(response["ETag"], size, None if encrypted else response["ETag"].strip('"'), metadata)


def _parts(content: Content) -> Iterator[tuple[int, bytes]]:
    """Yield number, from 1, and bytes of each part."""
    with content.open() as file:
        yield from enumerate(iter(lambda: file.read(PART_BYTES), b""), 1)


def _etag(md5s: list[bytes]) -> str:
    """Return the ETag of an object uploaded in parts with these MD5s."""
    return md5s[0].hex() if len(md5s) == 1 else f"{_md5(b''.join(md5s)).hex()}-{len(md5s)}"


def _md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _client(config: S3Config) -> Any:
    import boto3
    from botocore.config import Config

    connecting, answering = timeouts(config.retry)
    session = boto3.session.Session(
        aws_access_key_id=config.access_key_id or None,
        aws_secret_access_key=config.secret_access_key or None,
        aws_session_token=config.session_token or None,
        region_name=config.region or None,
    )
    options = Config(
        connect_timeout=connecting,
        read_timeout=answering,
        retries={"total_max_attempts": 1},
        # other stores lack virtual-hosted addressing, and some lack newer checksums
        s3={"addressing_style": "path"} if config.endpoint else None,
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    return session.client("s3", endpoint_url=config.endpoint or None, config=options)
