"""A file server with planned faults: one `Fault` per request, in order, then correct responses.

    with serve() as server:
        server.put("/a.csv", b"...", etag='"1"')
        server.plan = [Fault(cut=1000), Fault(status=503)]
        ...  # the first response is cut after 1000 bytes, the second is 503, the third complete
        server.requests[1].headers["Range"]

Without faults it supports ranges, If-Range, If-None-Match and If-Modified-Since.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
import stamina
from aiohttp import web


@dataclass(frozen=True)
class Fault:
    """The faults of one request, which can be combined."""

    status: int | None = None
    """Respond with this status and no file."""
    cut: int | None = None
    """Close the connection after this many bytes of the body."""
    reset: int | None = None
    """Reset the connection after this many bytes, which also discards bytes in transit."""
    pause: int | None = None
    """Pause after this many bytes until `server.go_on` is set."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers to add to the response or replace in it."""
    without: Collection[str] = ()
    """Headers to leave out of the response."""
    flip: int | None = None
    """Change the byte at this offset of the file."""
    full: bool = False
    """Ignore Range and every condition."""
    heedless: bool = False
    """Ignore If-Range but honour Range, as aiohttp's own file responses do."""
    change_to: bytes | None = field(default=None, repr=False)
    """Replace the file after this request, with another ETag but the same date."""


@dataclass
class Served:
    """A file and its version."""

    data: bytes
    etag: str | None
    last_modified: str | None
    checksums: dict[str, str]

    @property
    def version(self) -> dict[str, str]:
        named = {"ETag": self.etag, "Last-Modified": self.last_modified}
        return {name: value for name, value in named.items() if value}


@dataclass(frozen=True)
class Request:
    """What was asked."""

    method: str
    path: str
    headers: Mapping[str, str]


class FaultyServer:
    """See the module docstring; created by `serve`."""

    def __init__(self) -> None:
        self.files: dict[str, Served] = {}
        self.versions: list[Served] = []
        """All versions ever served."""
        self.plan: list[Fault] = []
        self.requests: list[Request] = []
        self.sent = 0
        """Bytes of file bodies sent so far."""
        self.go_on = threading.Event()
        self.missing = 404
        """Status for a missing file; TLC's server uses 403."""
        self.url = ""

    def put(
        self,
        path: str,
        data: bytes,
        etag: str | None = '"1"',
        last_modified: str | None = "Wed, 01 Jul 2020 10:00:00 GMT",
        checksums: dict[str, str] | None = None,
    ) -> str:
        """Serve a file; returns its URL."""
        self.files[path] = Served(data, etag, last_modified, checksums or {})
        self.versions.append(self.files[path])
        return self.url + path

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(Request(request.method, request.path, dict(request.headers)))
        fault = self.plan.pop(0) if self.plan else Fault()
        file = self.files.get(request.path)
        if fault.status or not file:
            return web.Response(status=fault.status or self.missing, headers=fault.headers)
        response, data, start = _good_answer(request, file, fault)
        response.headers.update(fault.headers)
        for name in fault.without:
            del response.headers[name]
        if fault.flip is not None and start <= fault.flip < start + len(data):
            at = fault.flip - start
            data = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        if fault.change_to is not None:
            self.put(request.path, fault.change_to, f'"{zlib.crc32(fault.change_to):x}"')
        await response.prepare(request)
        if request.method != "HEAD":
            await self._send(request, response, data, fault)
        return response

    async def _send(
        self, request: web.Request, response: web.StreamResponse, data: bytes, fault: Fault
    ) -> None:
        stops = [stop for stop in (fault.cut, fault.reset, fault.pause) if stop is not None]
        first = data[: min(stops, default=len(data))]
        self.sent += len(first)
        await response.write(first)
        transport = request.transport
        assert transport is not None
        if fault.pause is not None:
            while not self.go_on.is_set() and not transport.is_closing():
                await asyncio.sleep(0.005)
        if fault.reset is not None:
            raw = transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()
        elif fault.cut is not None:
            transport.close()
        elif not transport.is_closing():
            self.sent += len(data) - len(first)
            await response.write(data[len(first) :])


def _good_answer(request: web.Request, file: Served, fault: Fault) -> tuple[web.StreamResponse, bytes, int]:
    """Return a correct response, its body, and the body's offset in the file."""
    headers_sent, size = request.headers, len(file.data)
    headers = {**file.version, **file.checksums, "Accept-Ranges": "bytes"}
    unchanged = (
        headers_sent.get("If-None-Match") == file.etag
        if "If-None-Match" in headers_sent
        else (headers_sent.get("If-Modified-Since") == file.last_modified)
    )
    if not fault.full and {"If-None-Match", "If-Modified-Since"} & headers_sent.keys() and unchanged:
        return web.StreamResponse(status=304, headers=file.version), b"", 0
    condition = headers_sent.get("If-Range")
    as_asked = condition is None or condition in file.version.values() or fault.heedless
    if "Range" in headers_sent and as_asked and not fault.full:
        first, _, last = headers_sent["Range"].removeprefix("bytes=").partition("-")
        start, end = int(first), min(int(last or size), size - 1)
        if start >= size:
            return web.StreamResponse(status=416, headers={"Content-Range": f"bytes */{size}"}), b"", 0
        body = file.data[start : end + 1]
        headers |= {"Content-Range": f"bytes {start}-{end}/{size}", "Content-Length": str(len(body))}
        return web.StreamResponse(status=206, headers=headers), body, start
    return web.StreamResponse(headers={**headers, "Content-Length": str(size)}), file.data, 0


@contextmanager
def serve() -> Iterator[FaultyServer]:
    """Run a server on a free local port."""
    server = FaultyServer()
    loop = asyncio.new_event_loop()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    thread = threading.Thread(target=loop.run_forever, daemon=True)

    async def start() -> None:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"

    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(start(), loop).result()
        yield server
    finally:
        server.go_on.set()
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@contextmanager
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Limit retries to three attempts without backoff, and bypass proxies."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("TAXI_RETRIES", "3")
    monkeypatch.setenv("TAXI_TIMEOUT", "10")
    stamina.set_testing(True, attempts=100, cap=True)
    yield
    stamina.set_testing(False)
