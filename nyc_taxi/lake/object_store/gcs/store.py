"""Objects in GCS, written by single or resumable uploads."""

from __future__ import annotations

import base64
import contextlib
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nyc_taxi.errors import PreconditionFailed
from nyc_taxi.lake.object_store.gcs.client import connect
from nyc_taxi.lake.object_store.gcs.config import GcsConfig
from nyc_taxi.lake.object_store.gcs.errors import translate_errors
from nyc_taxi.lake.object_store.gcs.upload import Upload
from nyc_taxi.lake.object_store.store import (
    PART_BYTES,
    Content,
    Sent,
    Stored,
    root,
    timeouts,
    verify_checksum,
)

if TYPE_CHECKING:
    from google.cloud.storage import Blob


class GcsStore:
    """The Store protocol over google-cloud-storage, with its own retries disabled."""

    def __init__(self, config: GcsConfig) -> None:
        self._retry = config.retry
        self._where = config.where
        self._root = root(config.prefix)
        self._uri = f"gs://{config.bucket}/{self._root}"
        self._translate_errors = functools.partial(translate_errors, config.where, config.key_file)
        with self._translate_errors():
            self._bucket, self._session = connect(config)

    def head(self, key: str) -> Stored | None:
        """See Store."""

        def look() -> Stored | None:
            with self._translate_errors():
                blob = self._bucket.get_blob(self._root + key, retry=None, timeout=timeouts(self._retry))
            return _stored(blob) if blob else None

        return self._retry.call(look)

    def read(self, key: str) -> tuple[bytes, str] | None:
        """See Store."""
        from google.api_core.exceptions import NotFound

        def fetch() -> tuple[bytes, str] | None:
            blob = self._blob(key)
            with self._translate_errors():
                try:
                    data = blob.download_as_bytes(retry=None, timeout=timeouts(self._retry))
                except NotFound:  # object or bucket; a write to the bucket will tell
                    return None
            return data, str(blob.generation)

        return self._retry.call(fetch)

    def download(self, key: str, path: Path) -> bool:
        """See Store. The client library compares the checksum."""
        from google.api_core.exceptions import NotFound

        def fetch() -> bool:
            with self._translate_errors():
                try:
                    self._blob(key).download_to_filename(
                        str(path), retry=None, timeout=timeouts(self._retry), raw_download=True
                    )
                except NotFound:
                    return False
            return True

        return self._retry.call(fetch)

    def copy(self, source: str, key: str, tag: str | None) -> None:
        """See Store."""
        from google.api_core.exceptions import NotFound

        def rewrite() -> None:
            target, token = self._blob(key), ""
            with self._translate_errors():
                try:
                    while token is not None:
                        token, _, _ = target.rewrite(
                            self._blob(source),
                            token=token or None,
                            if_generation_match=int(tag or 0),
                            retry=None,
                            timeout=timeouts(self._retry),
                        )
                except NotFound as error:
                    raise PreconditionFailed(
                        f"{self._where}: {source} is gone; run the month again."
                    ) from error

        self._retry.call(rewrite)

    def delete(self, key: str, tag: str) -> None:
        """See Store."""
        from google.api_core.exceptions import NotFound

        def remove() -> None:
            with self._translate_errors(), contextlib.suppress(NotFound):
                self._blob(key).delete(
                    if_generation_match=int(tag), retry=None, timeout=timeouts(self._retry)
                )

        self._retry.call(remove)

    def uri(self, key: str) -> str:
        """See Store."""
        return self._uri + key

    def keys(self, prefix: str) -> list[str]:
        """See Store."""

        def names() -> list[str]:
            with self._translate_errors():
                blobs = self._bucket.list_blobs(
                    prefix=self._root + prefix,
                    fields="items(name),nextPageToken",
                    retry=None,
                    timeout=timeouts(self._retry),
                )
                return [blob.name.removeprefix(self._root) for blob in blobs]

        return self._retry.call(names)

    def digest(self, content: Content) -> str:
        """Return the CRC32C as GCS does: base64 of four bytes, big-endian."""
        import google_crc32c

        checksum = 0
        with content.open() as file:
            while part := file.read(PART_BYTES):
                checksum = google_crc32c.extend(checksum, part)
        return base64.b64encode(checksum.to_bytes(4, "big")).decode()

    def put(
        self, key: str, content: Content, metadata: Mapping[str, str], tag: str | None, sent: Sent
    ) -> Stored:
        """See Store. GCS rejects bytes that do not match the checksum."""
        blob = self._blob(key)
        blob.metadata = dict(metadata)
        blob.content_type = content.type
        blob.crc32c = digest = self.digest(content)
        blob.cache_control = "no-cache"  # caches would serve public objects for an hour
        options = {
            "if_generation_match": int(tag or 0),
            "retry": None,
            "timeout": timeouts(self._retry),
            "checksum": None,
        }
        if content.size > PART_BYTES:
            upload = self._retry.call(lambda: self._begin(blob, content.size, options))
            with content.open() as file:
                resource = upload.send(file, sent)
            stored = Stored(
                str(resource["generation"]), int(resource["size"]), resource.get("crc32c"), metadata
            )
        else:
            stored = self._retry.call(lambda: self._send(blob, content, options))
            sent(content.size)
        return verify_checksum(stored, digest, f"{self._where}: {key}")

    def _send(self, blob: Blob, content: Content, options: Mapping[str, Any]) -> Stored:
        with content.open() as file, self._translate_errors():
            blob.upload_from_file(file, size=content.size, **options)
        return _stored(blob)

    def _begin(self, blob: Blob, size: int, options: Mapping[str, Any]) -> Upload:
        with self._translate_errors():
            url = blob.create_resumable_upload_session(size=size, **options)
        return Upload(self._where, url, size, self._session, self._translate_errors, self._retry)

    def _blob(self, key: str) -> Blob:
        return self._bucket.blob(self._root + key)


def _stored(blob: Blob) -> Stored:
    return Stored(str(blob.generation), blob.size, blob.crc32c, blob.metadata or {})
