"""The interface of object stores: describe, read and replace objects under preconditions."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from nyc_taxi.errors import DestinationError, LocalFileLost, PreconditionFailed, SettingsError
from nyc_taxi.retry import RetryPolicy

Sent = Callable[[int], None]
"""Called with the number of bytes of an object sent so far."""

PART_BYTES = 8 << 20
"""Objects above this size are uploaded in parts that can be resumed; S3 requires parts of 5 MiB or more."""

CONNECT_TIMEOUT = 10.0
"""Seconds to wait for a connection, which a running server accepts at once."""


@dataclass(frozen=True)
class Stored:
    """An object as its store describes it."""

    tag: str
    """Identifies the object's content in preconditions: the generation in GCS, the ETag in S3."""
    size: int
    """Bytes."""
    digest: str | None
    """Checksum of the received bytes, in the format of `Store.digest`; None if the store has none."""
    metadata: Mapping[str, str]


@dataclass(frozen=True)
class Content:
    """Bytes to store, in a file or in memory."""

    data: Path | bytes
    type: str
    """Media type."""
    size: int
    sha256: str

    @classmethod
    def of(cls, data: Path | bytes, media_type: str) -> Content:
        """Compute size and checksum; raises DestinationError if the file cannot be read."""
        if isinstance(data, bytes):
            return cls(data, media_type, len(data), hashlib.sha256(data).hexdigest())
        try:
            with data.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
                return cls(data, media_type, file.tell(), sha256)
        except FileNotFoundError:
            raise LocalFileLost(f"{data}: no longer exists; run the month again to recreate it.") from None
        except OSError as error:
            raise DestinationError(
                f"{data}: cannot be read ({error.strerror}); run the month again to recreate it."
            ) from None

    def open(self) -> BinaryIO:
        """Open the bytes for reading."""
        return io.BytesIO(self.data) if isinstance(self.data, bytes) else self.data.open("rb")


class Store(Protocol):
    """A bucket below a prefix, or a folder; keys are relative to it.

    All methods raise DestinationUnreachable after TAXI_RETRIES attempts, and DestinationError for permanent
    errors.
    """

    def head(self, key: str) -> Stored | None:
        """Describe an object; None if it does not exist."""
        ...

    def read(self, key: str) -> tuple[bytes, str] | None:
        """Return a small object's bytes and tag; None if it does not exist."""
        ...

    def download(self, key: str, path: Path) -> bool:
        """Write an object's bytes to a file; returns False if it does not exist."""
        ...

    def put(
        self, key: str, content: Content, metadata: Mapping[str, str], tag: str | None, sent: Sent
    ) -> Stored:
        """Replace an object atomically.

        `tag` is that of the object to replace; None if it must not exist. Raises PreconditionFailed if the
        store has another object, or if the bytes were corrupted in transit.
        """
        ...

    def delete(self, key: str, tag: str) -> None:
        """Delete an object; does nothing if it does not exist.

        Raises PreconditionFailed if the store has another object than `tag`.
        """
        ...

    def digest(self, content: Content) -> str:
        """Return the checksum that the store will report for these bytes."""
        ...

    def keys(self, prefix: str) -> list[str]:
        """Return all keys that begin with the prefix."""
        ...

    def uri(self, key: str) -> str:
        """Return the URI of an object for other programs: `gs://...` or `s3://...`."""
        ...


class Bucket(Store, Protocol):
    """A store that can be a destination."""

    def copy(self, source: str, key: str, tag: str | None) -> None:
        """Replace an object by a server-side copy of another, including metadata.

        `tag` as for `put`. Raises PreconditionFailed if the store has another object than `tag`, or if the
        source no longer exists.
        """
        ...


def verify_checksum(stored: Stored, digest: str, what: str) -> Stored:
    """Return the object; raises PreconditionFailed if the store computed another checksum."""
    if stored.digest not in (None, digest):
        raise PreconditionFailed(
            f"{what} was corrupted in transit, its checksum is wrong; run the month again."
        )
    return stored


def timeouts(retry: RetryPolicy) -> tuple[float, float]:
    """Return the seconds to wait for a connection and for a response."""
    return min(CONNECT_TIMEOUT, retry.timeout), retry.timeout


def bucket_name(variable: str, value: str) -> str:
    """Validate a bucket's name; raises SettingsError for a URL or a path."""
    if set(value) & set("/: "):
        raise SettingsError(
            f"{variable}={value!r} is not a bucket name: leave out gs://, s3:// and the path."
        )
    return value


def root(prefix: str) -> str:
    """Normalise a prefix: empty, or with one trailing slash."""
    return f"{prefix.strip('/')}/" if prefix.strip("/") else ""
