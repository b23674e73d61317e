"""What every object store offers: objects that are described, read and replaced under preconditions."""

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
"""Called with the bytes of an object that have arrived so far."""

PART_BYTES = 8 << 20
"""Larger objects are sent in parts of this size: GCS wants a multiple of 256 KiB, S3 at least 5 MiB."""

CONNECT_TIMEOUT = 10.0
"""Seconds: a running server accepts a connection at once."""


@dataclass(frozen=True)
class Stored:
    """An object as its store describes it."""

    tag: str
    """Names this content of the object in preconditions: the generation in GCS, the ETag in S3."""
    size: int
    """Bytes."""
    digest: str | None
    """Checksum of the bytes that arrived, as `Store.digest` writes it; None where the store has none."""
    metadata: Mapping[str, str]


@dataclass(frozen=True)
class Content:
    """Bytes to be stored: a file's, or a small object's own."""

    data: Path | bytes
    type: str
    """Media type."""
    size: int
    sha256: str

    @classmethod
    def of(cls, data: Path | bytes, media_type: str) -> Content:
        """Measure the bytes; raises DestinationError when the file cannot be read."""
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
        """The bytes from their beginning."""
        return io.BytesIO(self.data) if isinstance(self.data, bytes) else self.data.open("rb")


class Store(Protocol):
    """A bucket below a prefix; keys are relative to the prefix.

    All methods raise DestinationUnreachable after TAXI_RETRIES attempts, and DestinationError for what
    another attempt does not mend.
    """

    def head(self, key: str) -> Stored | None:
        """Look at an object; None when it is not there."""
        ...

    def read(self, key: str) -> tuple[bytes, str] | None:
        """A small object's bytes and tag."""
        ...

    def download(self, key: str, path: Path) -> bool:
        """Write an object's bytes into a file; returns False when there is no such object."""
        ...

    def put(
        self, key: str, content: Content, metadata: Mapping[str, str], tag: str | None, sent: Sent
    ) -> Stored:
        """Replace an object at once: readers see the old bytes or the new.

        `tag` is that of the object to be replaced, None where there must be none. Raises PreconditionFailed
        when the store has another, or when the bytes arrived damaged.
        """
        ...

    def copy(self, source: str, key: str, tag: str | None) -> None:
        """Replace an object by a copy of another, with its metadata, within the store.

        `tag` as for `put`. Raises PreconditionFailed when the store has another object than `tag`, or when
        the source is gone.
        """
        ...

    def delete(self, key: str, tag: str) -> None:
        """Remove an object; it is no error if it is gone already.

        Raises PreconditionFailed when the store has another object than `tag`.
        """
        ...

    def digest(self, content: Content) -> str:
        """The checksum that the store will give for these bytes."""
        ...

    def keys(self, prefix: str) -> list[str]:
        """All keys that begin with the prefix."""
        ...

    def uri(self, key: str) -> str:
        """The address of an object, for other programs: `gs://...` or `s3://...`."""
        ...


def intact(stored: Stored, digest: str, what: str) -> Stored:
    """The object itself; raises PreconditionFailed when the store computed another checksum."""
    if stored.digest not in (None, digest):
        raise PreconditionFailed(
            f"{what} was corrupted in transit, its checksum is wrong; run the month again."
        )
    return stored


def timeouts(retry: RetryPolicy) -> tuple[float, float]:
    """Seconds to wait for a connection, and for an answer."""
    return min(CONNECT_TIMEOUT, retry.timeout), retry.timeout


def bucket_name(variable: str, value: str) -> str:
    """The name of a bucket; raises SettingsError for a URL or a path."""
    if set(value) & set("/: "):
        raise SettingsError(
            f"{variable}={value!r} is not a bucket name: leave out gs://, s3:// and the path."
        )
    return value


def root(prefix: str) -> str:
    """The prefix as keys begin with it: empty, or with one slash at its end."""
    return f"{prefix.strip('/')}/" if prefix.strip("/") else ""
