"""Bounds for clients without a session: how many connections they hold, and how much they send.

The HTTP server of Mage 0.9.80 keeps idle connections for an hour and buffers bodies of 100 MB. Once a process
has no file left to open, it accepts nobody, and logs 100,000 lines per second.
"""

from __future__ import annotations

import resource
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPServerRequest
from tornado.iostream import IOStream

MAX_STRANGERS = 200
"""Connections without a session, after which a new one closes the oldest."""

MAX_BODY = 1_000_000
"""Bytes of a request without a session; the variables of a run are a few hundred."""

OPEN_FILES = 4096
"""Files that the server may open; the usual limit is 1024, on macOS 256."""


class BoundedServer(HTTPServer):
    """An HTTP server that closes the oldest connections without a session."""

    def initialize(self, *arguments: Any, **options: Any) -> None:
        super().initialize(*arguments, **options)
        self._strangers: list[IOStream] = []

    def handle_stream(self, stream: IOStream, address: tuple[Any, ...]) -> None:
        self._strangers = [
            each for each in self._strangers if not each.closed() and not hasattr(each, "has_session")
        ]
        if len(self._strangers) >= MAX_STRANGERS:
            self._strangers.pop(0).close()
        self._strangers.append(stream)
        super().handle_stream(stream, address)


def bound(request: HTTPServerRequest, has_session: bool) -> None:
    """Apply the bounds to a request whose body has not been read, and to its connection."""
    connection: Any = request.connection
    if has_session:
        connection.stream.has_session = True
    else:
        connection.set_max_body_size(MAX_BODY)


def raise_file_limit() -> None:
    """Let this process open OPEN_FILES files, or as many as its hard limit allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < limit:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
