"""Which addresses are Mage's own: of requests, of pages that send them, and of links after the login."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
from urllib.parse import parse_qs, urlsplit

from tornado.httputil import HTTPServerRequest

_PATH = re.compile(r"/(?![/\\])[^\\\x00-\x20]*")
"""A path on this host; two slashes of either kind begin another host's address."""


def public_urls() -> list[str]:
    """Return the URLs or host names of `MAGE_PUBLIC_HOST`, which commas separate; links use the first."""
    return [url for each in os.environ.get("MAGE_PUBLIC_HOST", "").split(",") if (url := each.strip())]


def is_own_host(name: str) -> bool:
    """Return whether a `Host` is a public one of Mage's, or one that no page of another domain can have."""
    name = name.lower()
    if "." not in name or name.endswith(".localhost"):  # names of containers, and of this machine in browsers
        return True
    if name in {urlsplit(f"//{_address(url)}").hostname for url in public_urls()}:
        return True
    with contextlib.suppress(ValueError):
        return bool(ipaddress.ip_address(name.strip("[]")))
    return False


def stays_here(query: str) -> bool:
    """Return whether `redirect_url`, which the login page opens after the login, is absent or a path."""
    # Mage's pages skip every question mark before they parse the query
    parameters = parse_qs(query.replace("?", ""), keep_blank_values=True)
    return all(map(_PATH.fullmatch, parameters.get("redirect_url", [])))


def is_own_origin(request: HTTPServerRequest) -> bool:
    """Return whether `Origin`, which browsers send with every write, is an address of Mage's own."""
    origin = request.headers.get("Origin")
    if origin is None:
        return True
    own = {_address(f"//{request.headers.get('Host', '')}"), *map(_address, public_urls())}
    try:
        address = _address(origin)  # empty for "null", which sandboxed pages and files send
    except ValueError:
        return False
    return address != "" and address in own


def _address(url: str) -> str:
    """Return host and port in lower case, without the default ports that browsers omit."""
    netloc = urlsplit(url if "//" in url else f"//{url}").netloc.lower()
    return netloc.removesuffix(":443").removesuffix(":80")
