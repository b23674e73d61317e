"""A guard that checks every request to Mage's server (launchers.mage.access).

Mage 0.9.80 checks the login in some handlers only: its routes for events, event matchers, block analyses and
event streams are open to every client and web page. Responses allow all origins, and errors contain stack
traces.
"""

from __future__ import annotations

import json
import re
import time
from base64 import b64encode
from collections import deque
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar

import tornado.web
from mage_ai.server import server
from mage_ai.server.api.base import BaseHandler
from mage_ai.server.api.v1 import ApiListHandler, ApiResourceListHandler
from tornado.httputil import HTTPHeaders, HTTPServerRequest
from tornado.template import Loader

from launchers.mage.access import Route, find_session, refusal
from launchers.mage.connections import bound

PUBLIC_STATUS = (
    "scheduler_status",
    "require_user_authentication",
    "require_user_permissions",
    "project_type",
)
"""Fields of the health check without a session; with one it also shows paths and processes."""

WRONG_LOGINS = 5
"""Wrong logins per MINUTE, of all clients together, after which logins are refused."""
LOGINS = 10
"""Logins per MINUTE of one user, whatever their password: each occupies the server for up to a second."""
MINUTE = 60.0


def guarded(
    request: HTTPServerRequest,
    target_class: type[tornado.web.RequestHandler],
    target_kwargs: dict[str, Any] | None = None,
    path_args: list[bytes] | None = None,
    path_kwargs: dict[str, bytes] | None = None,
) -> tuple[Any, ...]:
    """Return the arguments of tornado's `get_handler_delegate`, replaced if the request is refused."""
    route = Route(request, target_class, target_kwargs or {}, path_kwargs or {})
    session = find_session(request)
    request.has_session = session is not None  # type: ignore[attr-defined]
    bound(request, session is not None)
    error = refusal(route, session)
    if error:
        return request, Refusal, {"code": error[0], "message": error[1]}
    if route.is_login:
        target_class = Login
    elif route.is_status and not session:
        target_class = PublicStatus
    return request, target_class, target_kwargs, path_args, path_kwargs


class Refusal(tornado.web.RequestHandler):
    """The handler of refused requests."""

    def initialize(self, code: int, message: str) -> None:
        self.code, self.message = code, message

    def prepare(self) -> None:
        self.set_status(self.code)
        self.finish(error_body(self.code, self.message))


class Login(ApiResourceListHandler):  # type: ignore[misc]
    """Login with e-mail and password, throttled after wrong passwords and by user."""

    attempts: ClassVar[deque[float]] = deque(maxlen=WRONG_LOGINS)
    """Times of the last wrong logins, in seconds of a monotonic clock."""
    recent: ClassVar[deque[tuple[float, str]]] = deque()
    """Times and users of all logins of the last minute."""

    async def post(self, resource: str) -> None:
        # status 200, as for Mage's own wrong logins: its page shows no other messages
        now = time.monotonic()
        if len(self.attempts) == WRONG_LOGINS and now - self.attempts[0] < MINUTE:
            self.write(error_body(429, "Too many wrong logins: wait a minute."))
            return
        session = json.loads(self.request.body).get("session", {})
        user = str(session.get("email") or session.get("username")).lower()
        while self.recent and now - self.recent[0][0] > MINUTE:
            self.recent.popleft()
        if sum(name == user for _, name in self.recent) >= LOGINS:
            self.write(error_body(429, "Too many logins of this user: wait a minute."))
            return
        self.recent.append((now, user))
        self.attempts.append(now)  # removed on success; parallel attempts count
        # Mage would open a session for any account of an OAuth provider, without verifying its audience
        if "provider" in session:
            self.write(error_body(400, "Sign in with e-mail and password."))
            return
        await super().post(resource)

    def write(self, chunk: Any) -> None:
        if isinstance(chunk, str) and "session" in json.loads(chunk):
            self.attempts.pop()
        super().write(chunk)


class PublicStatus(ApiListHandler):  # type: ignore[misc]
    """The public health check."""

    def write(self, chunk: Any) -> None:
        if isinstance(chunk, str):
            statuses = json.loads(chunk).get("statuses", [])
            chunk = {"statuses": [{name: each.get(name) for name in PUBLIC_STATUS} for each in statuses]}
        super().write(chunk)


def _content_policy() -> str:
    """Return the Content-Security-Policy: scripts come from Mage's files, not from links or outputs."""
    pages = Loader(str(Path(server.__file__).parent / "frontend_dist"))
    inline = re.findall(rb"<script>(.*?)</script>", pages.load("index.html").generate(), re.DOTALL)
    hashes = (b64encode(sha256(script).digest()).decode() for script in inline)
    sources = " ".join(f"'sha256-{each}'" for each in hashes)
    return (
        f"script-src 'self' 'unsafe-eval' {sources}; worker-src 'self' blob:; object-src 'none';"
        " base-uri 'self'; frame-ancestors 'self'"
    )


class Headers(tornado.web.OutputTransform):
    """Removes headers that allow all origins; forbids foreign scripts and frames on other pages.

    Mage's login page also reads `redirect_url` from the fragment of its address, which no server receives
    (`/sign-in#?redirect_url=//example.org`). Its script gets the checked query only, in as many bytes.
    """

    policy = _content_policy()
    whole = b"(window.location.href)"
    query = b"(location.search)".ljust(len(whole))

    def __init__(self, request: HTTPServerRequest) -> None:
        super().__init__(request)
        self.is_login_script = bool(re.search(r"/pages/sign-in-\w+\.js$", request.path))

    def transform_first_chunk(
        self, status_code: int, headers: HTTPHeaders, chunk: bytes, finishing: bool
    ) -> tuple[int, HTTPHeaders, bytes]:
        for name in list(headers):
            if name.lower().startswith("access-control-"):
                del headers[name]
        headers["Content-Security-Policy"] = self.policy
        headers["X-Frame-Options"] = "SAMEORIGIN"
        headers["X-Content-Type-Options"] = "nosniff"
        if self.is_login_script:
            chunk = chunk.replace(self.whole, self.query)
        return status_code, headers, chunk


def error_body(code: int, message: str) -> dict[str, Any]:
    """Return an error in the format of Mage's pages."""
    return {"error": {"code": code, "message": message, "errors": [message], "type": "refused"}}


_with_stack_trace = BaseHandler.write_error


def _write_error(handler: BaseHandler, status_code: int, **facts: Any) -> None:
    """Write an error; only users with a session get its stack trace, which contains paths."""
    if handler.request.has_session:
        _with_stack_trace(handler, status_code, **facts)
    else:
        handler.set_status(status_code)
        handler.finish(error_body(status_code, "The request could not be processed."))


BaseHandler.write_error = _write_error
