"""HTTP requests for all steps: raw bytes, redirects followed, failures translated to our errors.

Transient failures (no response, a broken connection, 429, 5xx) are `SourceUnreachable`; all others are
permanent.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import functools
import os
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from nyc_taxi import __version__
from nyc_taxi.errors import NotPublished, SourceError, SourceUnreachable

if TYPE_CHECKING:
    import httpx  # imported where it is used: local files do not need it

OTHER_SOURCE = "or name another source: sample, or a folder with the file"

# Without "identity" a server may compress the body, which changes length, ETag and bytes.
_HEADERS = {"Accept-Encoding": "identity", "User-Agent": f"nyc-taxi/{__version__}"}


class ServerBusy(SourceUnreachable):
    """The server answered 429 or 5xx."""

    def __init__(self, message: str, retry_after: float | None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


def shown(url: str) -> str:
    """Return the URL without credentials, query and fragment, safe to show and record."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


@contextlib.contextmanager
def stream(method: str, url: str, headers: Mapping[str, str], timeout: float) -> Iterator[httpx.Response]:
    """Send a request, follow redirects and translate errors, including those while the body is read.

    `timeout`: seconds to wait for a connection and for the next byte. The caller must `check` the status.
    """
    import httpx

    host = urlsplit(url).hostname
    try:
        client = _client(os.getpid())
        with client.stream(method, url, headers={**_HEADERS, **headers}, timeout=timeout) as response:
            yield response
    except (httpx.UnsupportedProtocol, httpx.TooManyRedirects, httpx.InvalidURL) as error:
        raise SourceError(f"{shown(url)}: is not a usable URL ({error}); check it.") from error
    except httpx.TimeoutException as error:
        raise SourceUnreachable(
            f"{host} did not answer within {timeout:g} s; try again, raise TAXI_TIMEOUT, {OTHER_SOURCE}."
        ) from error
    except httpx.TransportError as error:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            raise SourceError(
                f"{host}: its certificate is not trusted on this machine ({error}); behind a proxy that "
                "re-signs traffic, set SSL_CERT_FILE to its certificate."
            ) from error
        raise SourceUnreachable(
            f"{host} cannot be reached ({error or type(error).__name__}); check the network, {OTHER_SOURCE}."
        ) from error


def check(response: httpx.Response, url: str) -> None:
    """Raise the error for the response's status; 2xx passes."""
    status, name = response.status_code, _name(response.status_code)
    if response.is_success:
        return
    if status in (403, 404, 410):
        raise NotPublished(f"{shown(url)}: does not exist (the server answered {name}).")
    if status == 429 or status >= 500:
        wait = _retry_after(response)
        later = f"in {wait:.0f} s" if wait else "later"
        raise ServerBusy(
            f"{shown(url)}: the server answered {name}; try again {later}, {OTHER_SOURCE}.", wait
        )
    raise SourceError(f"{shown(url)}: the server answered {name}; check the URL and its credentials.")


def _name(status: int) -> str:
    """Return the status with its standard phrase; the server's own may be any text."""
    with contextlib.suppress(ValueError):
        return f"{status} {HTTPStatus(status).phrase}"
    return str(status)


def _retry_after(response: httpx.Response) -> float | None:
    """Return the seconds of a Retry-After header (a number or a date); None if missing or invalid."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isdecimal():
        return float(text)
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=dt.UTC)
    return max(0.0, (date - dt.datetime.now(dt.UTC)).total_seconds())


@functools.lru_cache(maxsize=1)
def _client(process: int) -> httpx.Client:
    """Return the process's client; polls reuse its connections, forked children do not share its sockets."""
    import httpx

    return httpx.Client(follow_redirects=True)
