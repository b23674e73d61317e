"""Clients without a session cannot block Mage's server by holding connections, or fill its memory."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Awaitable, Callable

import pytest
from tornado.httputil import HTTPServerRequest
from tornado.testing import bind_unused_port
from tornado.web import Application, RequestHandler

from launchers.mage import connections
from launchers.mage.connections import MAX_BODY, BoundedServer, bound, raise_file_limit

Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Page(RequestHandler):
    """A page, and a form that accepts everything."""

    def get(self) -> None:
        self.write("page")

    def post(self) -> None:
        self.write(f"{len(self.request.body)} bytes")


class Guarded(Application):
    """An application where a cookie is a session."""

    def get_handler_delegate(self, request: HTTPServerRequest, *arguments, **options):
        bound(request, "Cookie" in request.headers)
        return super().get_handler_delegate(request, *arguments, **options)


def with_server(attack: Callable[[Callable[[], Awaitable[Client]]], Awaitable[None]]) -> None:
    """Run a coroutine that opens connections to a server."""

    async def run() -> None:
        listening, port = bind_unused_port()
        server = BoundedServer(Guarded([("/", Page)]))
        server.add_socket(listening)
        try:
            await attack(lambda: asyncio.open_connection("127.0.0.1", port))
        finally:
            server.stop()
            await server.close_all_connections()

    asyncio.run(asyncio.wait_for(run(), 60))


async def send(client: Client, head: str, body: bytes = b"", length: int = 0) -> str:
    """Send a request, and return the answer's status line and body; `length` if the body is not sent."""
    reader, writer = client
    writer.write(f"{head}\r\nHost: x\r\nContent-Length: {length or len(body)}\r\n\r\n".encode() + body)
    status, *headers = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
    size = next((line for line in headers if line.startswith("Content-Length")), ": 0")
    return f"{status} {(await reader.readexactly(int(size.partition(':')[2]))).decode()}"


def test_connections_without_a_session_make_room_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MAX_STRANGERS", 5)

    async def attack(connect: Callable[[], Awaitable[Client]]) -> None:
        owner = await connect()
        assert await send(owner, "GET / HTTP/1.1\r\nCookie: session") == "HTTP/1.1 200 OK page"
        idle = [await connect() for _ in range(20)]
        assert await send(await connect(), "GET / HTTP/1.1") == "HTTP/1.1 200 OK page"
        assert await send(owner, "GET / HTTP/1.1\r\nCookie: session") == "HTTP/1.1 200 OK page"
        ended = [await asyncio.wait_for(reader.read(1), 10) for reader, _ in idle[:16]]
        assert ended == [b""] * 16
        assert not any(reader.at_eof() for reader, _ in idle[16:])

    with_server(attack)


def test_large_bodies_need_a_session() -> None:
    async def attack(connect: Callable[[], Awaitable[Client]]) -> None:
        body = bytes(MAX_BODY + 1)
        answer = await send(await connect(), "POST / HTTP/1.1", length=len(body))
        assert answer.rstrip() == "HTTP/1.1 400 Bad Request"
        answer = await send(await connect(), "POST / HTTP/1.1\r\nCookie: session", body)
        assert answer == f"HTTP/1.1 200 OK {len(body)} bytes"

    with_server(attack)


def test_the_limit_of_open_files_is_raised_as_far_as_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "setrlimit", lambda _, limit: limits.append(limit))
    for limit in ((256, resource.RLIM_INFINITY), (1024, 2000), (8192, 10000)):
        monkeypatch.setattr(resource, "getrlimit", lambda _, limit=limit: limit)
        raise_file_limit()
    assert limits == [(4096, resource.RLIM_INFINITY), (2000, 2000)]
