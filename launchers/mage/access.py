"""Access rules for all requests to Mage's server.

Import this module after Mage's server, which reads its settings on import.
"""

from __future__ import annotations

import hmac
import os
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote

import jwt
from mage_ai.api.middleware import OAuthMiddleware
from mage_ai.api.operations.base import classify, singularize
from mage_ai.api.utils import has_at_least_editor_role, parse_cookie_header
from mage_ai.authentication.oauth2 import decode_token, get_access_token
from mage_ai.data_preparation.models.triggers import ScheduleType
from mage_ai.data_preparation.repo_manager import get_project_uuid
from mage_ai.orchestration.constants import Entity
from mage_ai.orchestration.db import db_connection, safe_db_query
from mage_ai.orchestration.db.models.schedules import PipelineSchedule
from mage_ai.server import server
from mage_ai.server.api.triggers import ApiTriggerPipelineHandler
from mage_ai.server.api.v1 import ApiListHandler, ApiResourceListHandler
from mage_ai.shared.requests import get_bearer_auth_token_from_headers
from tornado.httputil import HTTPServerRequest
from tornado.web import RequestHandler

from launchers.mage.addresses import is_own_host, is_own_origin, stays_here

STATIC = (
    server.MainPageHandler,
    server.PipelineRunsPageHandler,
    server.ManagePageHandler,
    server.StaticFileHandler,
)
"""Pages, which contain no data themselves, and their static files."""

FILES = {"BrowserItem", "GitFile", "Interaction", "KernelProcess"}
"""Classes of resources that return files and processes of the machine, in Mage's pages for editors only."""

_NAMES = ("resource", "child")
"""Path parameters that name resources."""


@dataclass(frozen=True)
class Route:
    """A request and its handler."""

    request: HTTPServerRequest
    handler: type[RequestHandler]
    options: dict[str, Any] = field(default_factory=dict)
    """Options with which the server registers the handler."""
    parameters: dict[str, bytes] = field(default_factory=dict)
    """Path parameters by name."""

    @property
    def writes(self) -> bool:
        return self.request.method in ("POST", "PUT", "PATCH", "DELETE")

    @property
    def is_status(self) -> bool:
        """Whether this is the health check."""
        return self.handler is ApiListHandler and self.options.get("resource") == "statuses"

    @property
    def is_login(self) -> bool:
        """Whether this opens a session."""
        resource = self.parameters.get("resource")
        return (
            self.handler is ApiResourceListHandler
            and resource == b"sessions"
            and self.request.method == "POST"
        )

    @property
    def is_public(self) -> bool:
        """Whether no session is needed."""
        if self.request.method in ("GET", "HEAD"):
            return issubclass(self.handler, STATIC) or self.is_status
        return self.is_login


def refusal(route: Route, session: Any) -> tuple[int, str] | None:
    """Return the HTTP status and message that refuse a request, or None to accept it.

    A request must

    - name this server: a page of another domain whose DNS entry now points here ("rebinding") does not;
    - come from Mage's own pages, or from a program other than a browser;
    - not make the login page open another address, or a script (`redirect_url=javascript:...`);
    - carry JSON if it writes, which pages of other origins cannot send without CORS;
    - belong to a session, be public, or carry the token of the trigger that it starts.
    """
    if not is_own_host(route.request.host_name):
        return 403, "Requests to this host name are refused; MAGE_PUBLIC_HOST names Mage's own address."
    if not is_own_origin(route.request):
        return 403, "Requests from other origins are refused; MAGE_PUBLIC_HOST names Mage's own address."
    if not stays_here(route.request.query):
        return 400, "redirect_url must be the path of a page of Mage."
    if route.writes and not _is_json_or_own_upload(route.request):
        return 415, "Send JSON, with the header Content-Type: application/json."
    if route.is_public or _has_trigger_token(route):
        return None
    if not session:
        return 401, "Sign in first."
    if _is_editor(session.user) or _viewers_may(route):
        return None
    return 403, "Unauthorized access."


@safe_db_query  # type: ignore[untyped-decorator]
def find_session(request: HTTPServerRequest) -> Any:
    """Return the request's valid session (Oauth2AccessToken), if any."""
    token = request.headers.get("OAUTH-TOKEN") or get_bearer_auth_token_from_headers(request.headers)
    cookie = parse_cookie_header(request.headers.get("Cookie", "")).get("oauth_token")
    if cookie and not token:
        try:
            token = decode_token(cookie).get("token")
        except jwt.exceptions.InvalidTokenError:
            return None
    if not token or db_connection.session is None:  # no database exists while Mage starts
        return None
    session = get_access_token(token)
    return session if session and session.is_valid() else None


def has_editor(request: HTTPServerRequest) -> bool:
    """Return whether the request belongs to the valid session of a user who may edit code."""
    session = find_session(request)
    return session is not None and _is_editor(session.user)


@safe_db_query  # type: ignore[untyped-decorator]
def _has_trigger_token(route: Route) -> bool:
    number = route.parameters.get("pipeline_schedule_id", b"")
    if (
        route.handler is not ApiTriggerPipelineHandler
        or not number.isdigit()
        or db_connection.session is None
    ):
        return False
    bearer = get_bearer_auth_token_from_headers(route.request.headers) or ""
    trigger = PipelineSchedule.query.get(int(number))
    if trigger is None or trigger.schedule_type != ScheduleType.API or not trigger.token:
        return False
    token = route.parameters.get("token") or bearer.encode()
    return hmac.compare_digest(token, trigger.token.encode())


def _viewers_may(route: Route) -> bool:
    """Return whether users with the role Viewer, whom Mage trusts with more, may send a request.

    They run no code: Mage checks what its WebSocket receives like an update of the project, which every role
    may do. They write their session and profile only: every role may stop the scheduler. They read no files
    by path: some resources return any file that Mage's user reads, `.env` among them.
    """
    if not issubclass(route.handler, OAuthMiddleware):  # the handlers of resources
        return False
    resources = (os.fsdecode(route.parameters[key]) for key in _NAMES if key in route.parameters)
    names = {classify(singularize(name)) for name in resources}  # as Mage finds the class of a name
    if route.writes:
        return bool(names) and names <= {"Session", "User"}
    values = parse_qs(route.request.query).values()
    paths = (*(text for each in values for text in each), *map(os.fsdecode, route.parameters.values()))
    return names.isdisjoint(FILES) and not any(text.startswith("/") for text in map(unquote, paths))


def _is_json_or_own_upload(request: HTTPServerRequest) -> bool:
    kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":  # other pages can send a form, but only with their origin
        return "Origin" in request.headers
    is_empty = (
        request.headers.get("Content-Length", "0") == "0" and "Transfer-Encoding" not in request.headers
    )
    return kind == "application/json" or (request.method == "DELETE" and is_empty and not kind)


def _is_editor(user: Any) -> bool:
    return bool(has_at_least_editor_role(user, Entity.PROJECT, get_project_uuid()))
