"""The three kinds of places a month's file may come from: the web, a disk, the generator."""

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
    """A month that is there, and which version of it."""

    url: str
    """As in `SourceFile.url`."""
    etag: str | None
    last_modified: str | None
    """As an HTTP date."""
    size: int | None
    """Bytes; None when the server does not say."""


@dataclass(frozen=True)
class WebFile:
    """A file behind an http(s) URL."""

    location: str = field(repr=False)
    """The URL with whatever secrets it carries; `url` is the one to show."""
    retry: RetryPolicy = DEFAULT_RETRY

    @property
    def url(self) -> str:
        """The URL without credentials and query."""
        return http.shown(self.location)

    @property
    def host(self) -> str:
        """The server, with its port."""
        return urlsplit(self.url).netloc

    @property
    def name(self) -> str:
        """The last part of the path, fit to be a file's name; `download` when there is none."""
        last = unquote(urlsplit(self.location).path).rpartition("/")[2]
        return re.sub(r"[^\w.-]", "_", last).lstrip(".") or "download"

    def published(self) -> Published:
        """Ask which version is there, without its bytes.

        Raises NotPublished for 403, 404 and 410, SourceUnreachable, SourceError.
        """
        return self.retry.call(self._ask)

    def _ask(self) -> Published:
        with http.stream("HEAD", self.location, {}, self.retry.timeout) as response:
            # Signed URLs and some servers refuse HEAD alone, with any of these.
            if response.status_code not in (400, 403, 405, 501):
                http.check(response, self.location)
                return self._version(response, response.headers.get("Content-Length"))
        with http.stream("GET", self.location, {"Range": "bytes=0-0"}, self.retry.timeout) as response:
            if response.status_code != 416:  # 416: the file is there, and empty
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
    """A file on this machine; used where it lies."""

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
        """Look whether the file is there. Raises NotPublished, SourceError when it cannot be looked at."""
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
    """None leaves the number to the generator."""
    seed: int
    file_name: str
    """What a published file of this month is called."""

    @property
    def url(self) -> str:
        """`sample:<rows>:<seed>`, which can be given as a source again."""
        return f"sample:{self.rows or ''}:{self.seed}"

    @property
    def name(self) -> str:
        """The published file's name, marked as a sample."""
        stem, dot, ending = self.file_name.partition(".")
        return f"{stem}_sample_{self.rows or 'default'}_{self.seed}{dot}{ending}"

    def published(self) -> Published:
        """Always there; a new version with each version of the package, which holds the generator."""
        return Published(self.url, f'"{self.url}:{__version__}"', None, None)


Candidate = WebFile | LocalFile | Sample
"""Each has `url` (to show and record), `name` (of the file) and `published()`."""
