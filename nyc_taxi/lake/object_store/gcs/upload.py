"""Resumable uploads to GCS, in parts that are resumed after errors.

Protocol: https://cloud.google.com/storage/docs/performing-resumable-uploads. The client library's own
uploads fail if the service keeps only some bytes of a part, which the protocol allows; these send the
rest (docs/decisions/0009-resumable-upload.md).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from nyc_taxi.errors import DestinationUnreachable, PreconditionFailed
from nyc_taxi.lake.object_store.store import Sent, timeouts
from nyc_taxi.retry import RetryPolicy, is_retryable

if TYPE_CHECKING:
    from google.auth.transport.requests import AuthorizedSession

PART_BYTES = 32 << 20
"""Part size, a multiple of 256 KiB. Each part is a request and in memory; most months fit into one."""

BLOCK_BYTES = 256 << 10
"""Bytes that are sent within the timeout, however long a part takes."""


class Blocks:
    """The bytes of a part, in blocks; may be sent again, as after the renewal of credentials."""

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)

    def __len__(self) -> int:
        return len(self._data)

    def __iter__(self) -> Iterator[memoryview]:
        return (self._data[start : start + BLOCK_BYTES] for start in range(0, len(self), BLOCK_BYTES))


@dataclass(frozen=True)
class Upload:
    """An upload session."""

    where: str
    url: str
    """URL of the session; a secret, because it suffices to write the object."""
    size: int
    session: AuthorizedSession
    translate_errors: Callable[[], AbstractContextManager[None]]
    retry: RetryPolicy

    def send(self, file: BinaryIO, sent: Sent) -> dict[str, Any]:
        """Send the file and return the resource of the new object."""
        for attempt in self.retry.retrying(is_retryable):
            with attempt:
                done = 0 if attempt.num == 1 else self._put(b"", f"*/{self.size}")
                while isinstance(done, int):
                    sent(done)
                    done = self._send_part(file, done)
                sent(self.size)
                return done
        raise AssertionError("the last attempt returns or raises")

    def _send_part(self, file: BinaryIO, start: int) -> int | dict[str, Any]:
        file.seek(start)
        part = file.read(PART_BYTES)
        done = self._put(part, f"{start}-{start + len(part) - 1}/{self.size}")
        if isinstance(done, int) and done <= start:
            raise DestinationUnreachable(f"{self.where}: accepts no more bytes; run the month again.")
        return done

    def _put(self, part: bytes, span: str) -> int | dict[str, Any]:
        """Send bytes; returns how many the service holds, or the object's resource once complete."""
        from google.api_core.exceptions import from_http_response

        with self.translate_errors():
            response = self.session.put(
                self.url,
                data=Blocks(part) if part else part,
                headers={"Content-Range": f"bytes {span}"},
                timeout=timeouts(self.retry),
                allow_redirects=False,
            )
            if response.status_code == 308:
                received = re.fullmatch(r"bytes=0-(\d+)", response.headers.get("Range", ""))
                return int(received[1]) + 1 if received else 0
            if response.status_code in (404, 410):
                raise PreconditionFailed(
                    f"{self.where}: an unfinished upload has expired; run the month again."
                )
            if not response.ok:
                raise from_http_response(response)
            resource: dict[str, Any] = response.json()
            return resource
