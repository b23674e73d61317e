"""Download one file over HTTP into a `.part` file: conditional, resumable, verified against its headers.

`<name>.part.json` beside `<name>.part` records the version being fetched, so that a later attempt, in
this process or another, requests the missing bytes of the same version.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from nyc_taxi import files
from nyc_taxi.errors import SourceError, SourceUnreachable
from nyc_taxi.extract import http
from nyc_taxi.extract.candidates import WebFile
from nyc_taxi.extract.sidecar import Sidecar

if TYPE_CHECKING:
    import httpx

Progress = Callable[[int, int | None], None]
"""Called periodically with (done, total if known): bytes of a download, rows in later steps."""


@dataclass(frozen=True)
class Version:
    """The version of a file according to response headers."""

    url: str
    etag: str | None
    last_modified: str | None
    size: int | None
    checksums: dict[str, str] = field(default_factory=dict)
    """Checksums in hex by algorithm (md5, crc32c)."""

    @classmethod
    def of(cls, response: httpx.Response, url: str) -> Self:
        """Read the version from the headers of a full response (200)."""
        length = response.headers.get("Content-Length", "")
        return cls(
            url,
            response.headers.get("ETag"),
            response.headers.get("Last-Modified"),
            int(length) if length.isdecimal() else None,
            _checksums(response.headers),
        )

    @property
    def validator(self) -> str | None:
        """Value of If-Range: a strong ETag, else Last-Modified; None if the download cannot be resumed."""
        if self.etag and not self.etag.startswith("W/"):
            return self.etag
        return self.last_modified

    def is_sent_by(self, response: httpx.Response, offset: int) -> bool:
        """Return whether a response to Range holds this version's bytes from `offset` on; 416 never does.

        If-Range alone does not suffice: some servers ignore it.
        """
        span = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        return (
            span is not None
            and int(span[1]) == offset
            and (self.size is None or span[2] in (str(self.size), "*"))
            and response.headers.get("ETag", self.etag) == self.etag
            and response.headers.get("Last-Modified", self.last_modified) == self.last_modified
        )


class Part:
    """The partial file and its version."""

    def __init__(self, target: Path) -> None:
        self.path = target.with_name(f"{target.name}.part")
        self._state = target.with_name(f"{target.name}.part.json")

    def discard(self) -> None:
        """Remove it."""
        self._state.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)

    def begin(self, version: Version) -> None:
        """Start over with an empty file for this version."""
        self.discard()
        self.path.touch()
        files.write(self._state, json.dumps(dataclasses.asdict(version), indent=2) + "\n")

    def resumable(self, url: str) -> Version | None:
        """Return the version that can be resumed; discards anything else."""
        try:
            version = Version(**json.loads(self._state.read_text(encoding="utf-8")))
            size = self.path.stat().st_size
        except (FileNotFoundError, ValueError, TypeError):
            version, size = None, 0
        if version and version.url == url and version.validator and 0 < size <= (version.size or size):
            return version
        self.discard()
        return None


class _StalePartError(Exception):
    """The server does not resume the part; the download must start over."""


def transfer(file: WebFile, part: Part, known: Sidecar | None, progress: Progress | None) -> Version | None:
    """Download the file's current version into `part`; returns None if `known` is still current.

    Raises NotPublished, SourceUnreachable, SourceError; `part` is then kept only if it can be resumed.
    """

    def once() -> Version | None:
        try:
            return _attempt(file, part, known, progress)
        except _StalePartError:
            part.discard()
            return _attempt(file, part, known, progress)

    try:
        return file.retry.call(once)
    except SourceError:
        part.resumable(file.url)
        raise


def _attempt(file: WebFile, part: Part, known: Sidecar | None, progress: Progress | None) -> Version | None:
    version = part.resumable(file.url)
    offset = part.path.stat().st_size if version else 0
    if version and offset != version.size:
        headers = {"Range": f"bytes={offset}-", "If-Range": version.validator or ""}
    else:  # the part may be complete: the process ended before moving it
        headers = _conditional_headers(version or known)
    with http.stream("GET", file.location, headers, file.retry.timeout) as response:
        if response.status_code == 304 and headers.keys() & {"If-None-Match", "If-Modified-Since"}:
            if version is None:
                return None
        elif version and response.status_code in (206, 416):
            if not version.is_sent_by(response, offset):
                raise _StalePartError
            _receive(response, part.path, offset, version.size, progress)
        else:
            http.check(response, file.location)
            if response.status_code == 206:
                raise SourceError(
                    f"{file.url}: the server answered with part of the file; use another source."
                )
            version = Version.of(response, file.url)
            part.begin(version)
            _receive(response, part.path, 0, version.size, progress)
    _check(part, version)
    return version


def _conditional_headers(version: Version | Sidecar | None) -> dict[str, str]:
    """Return conditional headers that request the file only if its version changed."""
    headers = {}
    if version and version.etag:
        headers["If-None-Match"] = version.etag
    if version and version.last_modified:
        headers["If-Modified-Since"] = version.last_modified
    return headers


def _receive(
    response: httpx.Response, path: Path, offset: int, size: int | None, progress: Progress | None
) -> None:
    # Unbuffered, so that received bytes outlive the process; raw, so that a .gz is not decompressed.
    with path.open("r+b", buffering=0) as file:
        file.seek(offset)
        for chunk in response.iter_raw():
            offset += file.write(chunk)
            if progress:
                progress(offset, size)


def _check(part: Part, version: Version) -> None:
    """Compare length and checksums; a short file is kept for the next attempt."""
    size = part.path.stat().st_size
    if version.size is not None and size < version.size:
        raise SourceUnreachable(
            f"{version.url}: the download ended after {size} of {version.size} bytes; try again."
        )
    wrong = [name for name, value in version.checksums.items() if files.digest(part.path, name) != value]
    if wrong or size != (version.size or size):
        part.discard()
        what = f"the {wrong[0]} checksum" if wrong else "the length"
        raise SourceUnreachable(f"{version.url}: the download is corrupt, {what} is wrong; try again.")


def _checksums(headers: httpx.Headers) -> dict[str, str]:
    """Return the file's checksums from the headers, in hex, without invalid ones."""
    offered = [f"md5={headers.get('Content-MD5', '')}"]
    # Google may decompress a gzipped object but still send the checksum of the stored bytes.
    if headers.get("x-goog-stored-content-encoding", "identity") == headers.get(
        "Content-Encoding", "identity"
    ):
        offered += headers.get_list("x-goog-hash", split_commas=True)
    checksums = {}
    for text in offered:
        name, _, value = text.strip().partition("=")
        try:
            raw = base64.b64decode(value, validate=True)
        except binascii.Error:
            continue
        if len(raw) == {"md5": 16, "crc32c": 4}.get(name):
            checksums[name] = raw.hex()
    return checksums
