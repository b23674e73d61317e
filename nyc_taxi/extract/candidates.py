"""The three origins of a month's file: the web, a local disk, and the sample generator."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass, field
from email.utils import format_datetime
from pathlib import Path
from stat import S_ISREG
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from nyc_taxi import __version__
from nyc_taxi.errors import NotPublished, SourceError
from nyc_taxi.extract import http
from nyc_taxi.retry import DEFAULT_RETRY, RetryPolicy

if TYPE_CHECKING:
    import httpx


@dataclass(frozen=True)
class Published:
    """The published version of a month's file."""

    url: str
    """As in `SourceFile.url`."""
    etag: str | None
    last_modified: str | None
    """The Last-Modified header, an HTTP date."""
    size: int | None
    """Size in bytes; None if the server does not send it."""


@dataclass(frozen=True)
class WebFile:
    """A file behind an http(s) URL."""

    location: str = field(repr=False)
    """The URL including secrets; `url` is safe to show."""
    retry: RetryPolicy = DEFAULT_RETRY

    @property
    def url(self) -> str:
        """The URL without credentials and query."""
        return http.shown(self.location)

    @property
    def host(self) -> str:
        """The host and port of the server."""
        return urlsplit(self.url).netloc

    @property
    def name(self) -> str:
        """The last part of the path, made a valid file name; `download` if it is empty."""
        last = unquote(urlsplit(self.location).path).rpartition("/")[2]
        return re.sub(r"[^\w.-]", "_", last).lstrip(".") or "download"

    def published(self) -> Published:
        """Look up the published version without downloading it.

        Raises NotPublished for 403, 404 and 410, SourceUnreachable, SourceError.
        """
        return self.retry.call(self._request)

    def _request(self) -> Published:
        with http.stream("HEAD", self.location, {}, self.retry.timeout) as response:
            # Signed URLs and some servers refuse HEAD alone, with any of these.
            if response.status_code not in (400, 403, 405, 501):
                http.check(response, self.location)
                return self._version(response, response.headers.get("Content-Length"))
        with http.stream("GET", self.location, {"Range": "bytes=0-0"}, self.retry.timeout) as response:
            if response.status_code != 416:  # 416: the file exists and is empty
                http.check(response, self.location)
            if response.status_code == 200:
                return self._version(response, response.headers.get("Content-Length"))
            return self._version(response, response.headers.get("Content-Range", "").rpartition("/")[2])

    def _version(self, response: httpx.Response, size: str | None) -> Published:
        return Published(
            url=self.url,
            etag=response.headers.get("ETag"),
            last_modified=response.headers.get("Last-Modified"),
            size=int(size) if size and size.isdecimal() else None,
        )


@dataclass(frozen=True)
class LocalFile:
    """A file on this machine, used in place."""

    path: Path

    @property
    def url(self) -> str:
        """The file's absolute path."""
        return str(self.path)

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.name

    def published(self) -> Published:
        """Look up the file; raises NotPublished if it is missing, SourceError if it cannot be read."""
        try:
            stat = self.path.stat()
        except (FileNotFoundError, NotADirectoryError):
            raise NotPublished(f"{self.path}: does not exist.") from None
        except OSError as error:
            raise SourceError(f"{self.path}: cannot be read ({error.strerror}).") from error
        if not S_ISREG(stat.st_mode):
            raise SourceError(f"{self.path}: is not a file; remove it or use another source.")
        changed = dt.datetime.fromtimestamp(stat.st_mtime, dt.UTC)
        return Published(self.url, None, format_datetime(changed, usegmt=True), stat.st_size)


@dataclass(frozen=True)
class Sample:
    """A generated month."""

    rows: int | None
    """Number of rows; None for the generator's default."""
    seed: int
    file_name: str
    """The name of this month's published file."""

    @property
    def url(self) -> str:
        """`sample:<rows>:<seed>`, itself a valid source."""
        return f"sample:{self.rows or ''}:{self.seed}"

    @property
    def name(self) -> str:
        """The published file's name, marked as a sample."""
        stem, dot, ending = self.file_name.partition(".")
        return f"{stem}_sample_{self.rows or 'default'}_{self.seed}{dot}{ending}"

    def published(self) -> Published:
        """Return the version of the generator, which changes with every package version."""
        return Published(self.url, f'"{self.url}:{__version__}"', None, None)


Candidate = WebFile | LocalFile | Sample
"""Each has `url` (safe to show and record), `name` (of the file) and `published()`."""
