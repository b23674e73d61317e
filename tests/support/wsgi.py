"""WSGI applications on the loopback, with injected faults.

    with serve(Faulty(application)) as url:
        ...
        faulty.next(answers(503), "PUT", "/trips", times=2)

A fault is called instead of the application, with the request and the application.
"""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

Application = Callable[[Request], Response]
Fault = Callable[[Request, Application], Response]


@dataclass
class _Planned:
    fault: Fault
    method: str
    target: str
    skip: int
    times: int


class Faulty:
    """An application behind faults, none by default."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._planned: list[_Planned] = []
        self._struck = 0
        self._lock = threading.Lock()
        self.requests: list[tuple[str, str, int]] = []
        """Method, target and length of the body of all requests so far.

        The target is path, query and the start of the body, which contains the object name for GCS.
        """

    def next(self, fault: Fault, method: str = "", target: str = "", skip: int = 0, times: int = 1) -> None:
        """Plan a fault for the next `times` requests of a method whose target contains `target`.

        The first `skip` of them pass.
        """
        self._planned.append(_Planned(fault, method, target, skip, times))

    def forget(self) -> int:
        """Remove planned faults; returns the number of faults since the last call."""
        struck, self._struck = self._struck, 0
        self._planned.clear()
        return struck

    def count(self, method: str, target: str = "") -> int:
        """Return the number of matching requests."""
        return sum(method == seen[0] and target in seen[1] for seen in self.requests)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        request = Request(environ)
        body = request.get_data(cache=True)
        target = f"{request.path}?{request.query_string.decode()} {body[:250].decode('latin-1')}"
        with self._lock:
            self.requests.append((request.method, target, len(body)))
            fault = self._due(request.method, target)
        response = fault(request, self._application) if fault else self._application(request)
        return response(environ, start_response)

    def _due(self, method: str, target: str) -> Fault | None:
        for planned in self._planned:
            if planned.times and planned.method in ("", method) and planned.target in target:
                if planned.skip:
                    planned.skip -= 1
                    continue
                planned.times -= 1
                self._struck += 1
                return planned.fault
        return None


def answers(status: int, body: str = "", **headers: str) -> Fault:
    """Respond without calling the application."""
    return lambda request, application: Response(
        body, status, {name.replace("_", "-"): value for name, value in headers.items()}
    )


def cut(request: Request, application: Application) -> Response:
    """Close the connection without serving the request."""
    request.environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    return Response()


def lose_answer(request: Request, application: Application) -> Response:
    """Serve the request, then close the connection before the response."""
    application(request)
    return cut(request, application)


def damage(request: Request, application: Application) -> Response:
    """Change a bit in the middle of the body."""
    body = bytearray(request.get_data())
    body[len(body) // 2] ^= 1
    return application(with_body(request, bytes(body)))


class Pause:
    """Hold a request: sets `reached` when it arrives, and continues once `go_on` is set."""

    def __init__(self) -> None:
        self.reached, self.go_on = threading.Event(), threading.Event()

    def __call__(self, request: Request, application: Application) -> Response:
        self.reached.set()
        assert self.go_on.wait(30)
        return application(request)


def with_body(request: Request, body: bytes, **headers: str) -> Request:
    """Return the request with another body, and other headers by their WSGI names."""
    environ = {**request.environ, "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body)), **headers}
    return Request({key: value for key, value in environ.items() if key != "werkzeug.request"})


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 (werkzeug's name)
        pass


@contextmanager
def serve(application: Any) -> Iterator[str]:
    """Serve a WSGI application on a free port; yields its URL."""
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=_Quiet)
    server.daemon_threads = True  # type: ignore[attr-defined]  # of its ThreadingMixIn
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
