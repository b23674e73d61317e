"""Every route of Mage's server refuses requests without a session, other origins, and writes without JSON."""

from __future__ import annotations

import asyncio
import datetime as dt
import importlib
import json
import os
import re
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest
from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.websocket import websocket_connect

from nyc_taxi.model.months import Month, Service
from nyc_taxi.model.request import LoadRequest
from tests.support.mage import PAGES_KEY

pytestmark = [pytest.mark.mage, pytest.mark.filterwarnings("ignore")]  # Mage warns of much

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
JSON = {"Content-Type": "application/json"}


class Ask(NamedTuple):
    """A request; PORT in a header stands for the server's port."""

    method: str
    path: str
    headers: dict[str, str] = JSON
    body: bytes | None = None


PUBLIC_PAGES = {
    *("/", "/files", "/oauth", "/overview", "/pipeline-runs", "/pipelines", "/pipelines/1", "/settings"),
    *(
        "/settings/1",
        "/sign-in",
        "/terminal",
        "/triggers",
        "/manage",
        "/manage/1",
        "/templates",
        "/templates/1",
    ),
    *("/version-control", "/global-data-products", "/global-data-products/1", "/global-hooks"),
    *("/global-hooks/1", "/_next/static/1", "/fonts/1", "/images/1", "/monaco-editor/1", "/favicon.ico"),
}
"""Pages without data, and their files."""


def sample_path(pattern: str) -> str:
    """A path that a route's pattern matches."""
    plain = re.sub(r"\(\?P<\w+>(\w+)\)", r"\1", pattern.removesuffix("$"))
    plain = plain.replace("/?", "/").replace("(?:es)?", "es").replace("(favicon.ico)", "favicon.ico")
    path = re.sub(r"\((?:\?P<\w+>)?(?:\[.*?\]|\.|\\w)[+*]\)", "1", plain)
    assert re.fullmatch(pattern.removesuffix("$"), path), (pattern, path)
    return path


@pytest.fixture(scope="module")
def server(environment, place) -> Iterator[Any]:
    """Mage's server in this process: `send` requests to it, `sign_in` as a user with a role."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        import tornado.web
        from mage_ai.api.presenters.PipelineRunPresenter import PipelineRunPresenter
        from mage_ai.orchestration.db import db_connection
        from mage_ai.orchestration.db.database_manager import database_manager
        from mage_ai.orchestration.db.models.oauth import Oauth2AccessToken, User, UserRole
        from mage_ai.server import server as mage_server

        from launchers.mage.mage_patches import patch_server
        from launchers.mage.run_labels import patch_run_labels

        patch.setattr(tornado.web, "Application", tornado.web.Application)  # put back afterwards
        patch.setattr(mage_server, "sleep", lambda _: None)
        schedules = importlib.import_module("mage_ai.api.presenters.PipelineSchedulePresenter")
        patch.setattr(schedules, "HIDE_API_TRIGGER_TOKEN", True)  # read when Mage is imported
        database_manager.run_migrations()
        db_connection.start_session(force=True)
        mage_server.initialize_user_authentication(mage_server.ProjectType.STANDALONE)
        patch.setattr(PipelineRunPresenter, "prepare_present", PipelineRunPresenter.prepare_present)
        patch_server()
        patch_run_labels()
        app = mage_server.make_app()
        yield SimpleNamespace(app=app, send=sender(app), sign_in=sign_in)
        for table in (Oauth2AccessToken, UserRole, User):  # other tests sign in as the first user
            table.query.delete()
        db_connection.session.commit()
        db_connection.close_session()


def sender(app: Any) -> Callable[..., list[Any]]:
    """A function that sends requests, one after another, and returns the answers."""

    async def send_all(port: int, *requests: Ask) -> list[Any]:
        client = AsyncHTTPClient(force_instance=True)
        answers = []
        for method, path, headers, body in requests:
            answer = await client.fetch(
                f"http://127.0.0.1:{port}{path}",
                raise_error=False,
                method=method,
                headers={name: text.replace("PORT", str(port)) for name, text in headers.items()},
                body=body,
                allow_nonstandard_methods=True,
                request_timeout=60,
            )
            answers.append(answer)
        client.close()
        return answers

    return lambda *requests: asyncio.run(serving(app, send_all, *requests))


async def serving(app: Any, use: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
    """Serve while a coroutine uses the server's port."""
    listening, port = bind_unused_port()
    http = HTTPServer(app)
    http.add_socket(listening)
    try:
        return await use(port, *arguments)
    finally:
        http.stop()
        await http.close_all_connections()


def sign_in(role: str) -> dict[str, str]:
    """Headers of a new session of a new user with a role."""
    from mage_ai.authentication.oauth2 import encode_token, generate_access_token
    from mage_ai.orchestration.db.models.oauth import Oauth2Application, Role, User

    name = f"{role}{User.query.count()}".lower()
    user = User.create(username=name, email=f"{name}@localhost", roles_new=[Role.get_role(role)])
    token = generate_access_token(user, Oauth2Application.query.first())
    return {"Cookie": f"oauth_token={encode_token(token.token, token.expires)}", **JSON}


def paths(app: Any) -> list[str]:
    return sorted({sample_path(rule.matcher.regex.pattern) for rule in app.wildcard_router.rules})


def test_every_route_asks_for_a_session(server):
    requests = [Ask(method, path) for path in paths(server.app) for method in METHODS]
    answers = server.send(*requests)
    public = {
        (request.method, request.path)
        for request, answer in zip(requests, answers, strict=True)
        if answer.code != 401
    }
    # beside these only the login, whose path is not the sample of its route
    assert public == {
        (method, path) for method in ("GET", "HEAD") for path in (*PUBLIC_PAGES, "/api/statuses")
    }
    for answer in answers:
        assert not [name for name in answer.headers if name.lower().startswith("access-control-")]
        if answer.code == 401:
            assert (answer.body or b"Sign in first.").count(b"Sign in first.")
            assert answer.headers["X-Frame-Options"] == "SAMEORIGIN"


@pytest.mark.parametrize(
    "origin", ["http://example.org", "http://127.0.0.1:1", "null", "file://", "http://["]
)
def test_every_route_refuses_other_origins(server, origin):
    session = {**server.sign_in("Owner"), "Origin": origin}
    requests = [Ask(method, path, session) for path in paths(server.app) for method in METHODS]
    assert {answer.code for answer in server.send(*requests)} == {403}


@pytest.mark.parametrize("host", ["example.org", "127.0.0.1.example.org:6789", "localhost.example.org"])
def test_every_route_refuses_other_host_names(server, host):
    """A page of example.org whose DNS entry changes to 127.0.0.1 has the origin of its requests."""
    session = {**server.sign_in("Owner"), "Host": host, "Origin": f"http://{host}"}
    requests = [Ask(method, path, session) for path in paths(server.app) for method in METHODS]
    assert {answer.code for answer in server.send(*requests)} == {403}


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:1", "localhost", "LOCALHOST:1", "mage.localhost:1", "[::1]:1", "mage:6789", "10.0.0.1"],
)
def test_addresses_and_own_names_are_served(server, host):
    (answer,) = server.send(Ask("GET", "/api/status", {"Host": host}))
    assert answer.code == 200


@pytest.mark.parametrize(
    "query",
    [
        "redirect_url=javascript:alert(1)//",
        "redirect_?url=javascript:alert(1)",
        "%72edirect_url=http://example.org",
        "a=1&redirect_url=//example.org",
        "redirect_url=/%5Cexample.org",
        "redirect_url=/%09/example.org",
        "redirect_url=/pipelines&redirect_url=javascript:alert(1)",
        "redirect_url=",
    ],
)
def test_the_login_page_leads_to_mages_pages_only(server, query):
    refused, served = server.send(
        Ask("GET", f"/sign-in?{query}"),
        Ask("GET", "/sign-in?redirect_url=/pipelines/taxi_trips/edit?sideview=tree"),
    )
    assert (refused.code, served.code) == (400, 200)
    # the browser refuses scripts of links, which are inline
    policy = dict(each.split(maxsplit=1) for each in served.headers["Content-Security-Policy"].split("; "))
    assert "'unsafe-inline'" not in policy["script-src"]


def test_the_login_page_ignores_the_fragment(server):
    """`/sign-in#?redirect_url=//example.org`: browsers send no fragment, so the page must not read it."""
    from mage_ai.server import server as mage_server

    pages = Path(mage_server.__file__).parent / "frontend_dist"
    (script,) = pages.glob("_next/static/chunks/pages/sign-in-*.js")
    (served,) = server.send(Ask("GET", f"/{script.relative_to(pages)}"))
    assert (served.code, len(served.body)) == (200, script.stat().st_size)
    assert b"redirect_url" in served.body
    assert b"(location.search)" in served.body
    assert b"window.location.href)" not in served.body


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=1", None]
)
def test_every_route_refuses_writes_that_are_not_json(server, kind):
    session = server.sign_in("Owner") | {"Content-Type": kind}
    headers = {name: text for name, text in session.items() if text}
    body = b"--1--\r\n" if "boundary" in (kind or "") else b"{}"
    requests = [
        Ask(method, path, headers, body)
        for path in paths(server.app)
        for method in ("POST", "PUT", "PATCH", "DELETE")
    ]
    assert {answer.code for answer in server.send(*requests)} == {415}


@pytest.mark.parametrize(
    ("public", "origin"),
    [
        ("https://mage.example.com", "https://mage.example.com"),
        ("https://Mage.example.com:443/", "https://mage.example.com"),
        ("mage.example.com", "https://mage.example.com"),
        ("http://127.0.0.1:8888", "http://127.0.0.1:8888"),
    ],
)
def test_behind_a_proxy_pages_have_the_public_address(server, monkeypatch, public, origin):
    monkeypatch.setenv("MAGE_PUBLIC_HOST", public)
    own = {**server.sign_in("Owner"), "X-API-KEY": PAGES_KEY, "Origin": origin}
    kept = {**own, "Host": origin.partition("//")[2]}
    other = {**own, "Origin": "https://example.com"}
    answers = server.send(*(Ask("GET", "/api/pipelines", headers) for headers in (own, kept, other)))
    assert [answer.code for answer in answers] == [200, 200, 403]


@pytest.mark.parametrize("host", ["mage.example.com", "host.docker.internal:6789"])
def test_several_public_addresses(server, monkeypatch, host):
    monkeypatch.setenv("MAGE_PUBLIC_HOST", "https://mage.example.com, http://host.docker.internal:6789,")
    own = {**server.sign_in("Owner"), "X-API-KEY": PAGES_KEY, "Host": host, "Origin": f"http://{host}"}
    answers = server.send(
        Ask("GET", "/api/pipelines", own),
        Ask("GET", "/api/pipelines", {**own, "Origin": "https://mage.example.com"}),
        Ask("GET", "/api/pipelines", {**own, "Host": "docker.internal"}),
    )
    assert [answer.code for answer in answers] == [200, 200, 403]


@pytest.mark.parametrize("public", ["https://mage.example.com", "https://mage.example.com, mage.internal"])
def test_links_in_notifications_begin_with_the_first_public_address(server, monkeypatch, public):
    from mage_ai.orchestration.notification import sender

    from launchers.mage.mage_patches import patch_links

    monkeypatch.setenv("MAGE_PUBLIC_HOST", public)
    monkeypatch.setattr(sender, "MAGE_PUBLIC_HOST", public)  # as Mage reads it on import
    patch_links()
    assert sender.MAGE_PUBLIC_HOST == "https://mage.example.com"


def test_a_session_of_the_pages_may_do_what_it_did(server):
    own = {**server.sign_in("Owner"), "Origin": "http://127.0.0.1:PORT"}
    matcher = json.dumps(
        {"event_matchers": [{"name": "n", "event_type": "aws_event", "pattern": {"a": ["b"]}}]}
    )
    created, listed, other = server.send(
        Ask("POST", "/api/event_matchers", own, matcher.encode()),
        Ask("GET", "/api/event_matchers", own),
        Ask("POST", "/api/event_matchers", server.sign_in("Viewer"), matcher.encode()),
    )
    number = json.loads(created.body)["event_matcher"]["id"]
    assert [each["id"] for each in json.loads(listed.body)["event_matchers"]] == [number]
    assert other.code == 403
    (deleted,) = server.send(Ask("DELETE", f"/api/event_matchers/{number}", {"Cookie": own["Cookie"]}))
    assert deleted.code == 200


def test_viewers_read_no_files_of_the_machine(server, tmp_path):
    """Not through any resource of Mage, whatever its name is for a path."""
    from inflection import camelize, pluralize, underscore
    from mage_ai.api import resources

    secret = tmp_path / "secret.py"
    secret.write_text("TOKEN = 'not for viewers'\n")
    inside = os.path.relpath(secret)  # relative to the working directory of Mage
    files = [path.stem for path in Path(resources.__path__[0]).glob("*Resource.py")]
    names = {pluralize(underscore(name.removesuffix("Resource"))) for name in files}
    paths = [quote(str(path), safe="") for path in (secret, inside)]
    viewer = {**server.sign_in("Viewer"), "X-API-KEY": PAGES_KEY}
    requests = [
        *(Ask("GET", f"/api/{name}/{path}", viewer) for name in sorted(names) for path in paths),
        *(
            Ask("GET", f"/api/{name}?repo_path={tmp_path}&directory={tmp_path}", viewer)
            for name in sorted(names)
        ),
        *(
            Ask("GET", f"/api/{name}/{paths[0]}", viewer)
            for name in ("browser_item", camelize("browser_items"))
        ),
    ]
    assert len(names) > 80
    for request, answer in zip(requests, server.send(*requests), strict=True):
        body = answer.body or b""
        assert b"not for viewers" not in body, request.path
        assert b"secret.py" not in body or b'"error"' in body, request.path


def test_viewers_see_no_processes_of_the_machine(server):
    viewer = {**server.sign_in("Viewer"), "X-API-KEY": PAGES_KEY}
    owner = {**server.sign_in("Owner"), "X-API-KEY": PAGES_KEY}
    names = ("kernel_processes", "kernel_process", "Kernel_Processes", "kernel__process")
    paths = [f"/api/{name}{pid}" for name in names for pid in ("", f"/{os.getpid()}")]
    paths += [f"/api/pipelines/taxi_trips/{name}" for name in names]
    answers = server.send(*(Ask("GET", path, viewer) for path in paths))
    assert [answer.code for answer in answers] == [403] * len(paths)
    (seen,) = server.send(Ask("GET", f"/api/kernel_processes/{os.getpid()}", owner))
    assert json.loads(seen.body)["kernel_process"]["pid"] == os.getpid()


def test_resources_that_viewers_may_not_read_exist(server):
    from mage_ai.api import resources

    from launchers.mage.access import FILES

    assert {f"{name}Resource" for name in FILES} <= {
        path.stem for path in Path(resources.__path__[0]).glob("*Resource.py")
    }


def test_viewers_reload_pages(server):
    viewer = server.sign_in("Viewer")
    paths = ("/sign-in?redirect_url=%2Fpipelines", "/files?path=%2Fetc")
    answers = server.send(*(Ask("GET", path, viewer) for path in paths))
    assert [answer.code for answer in answers] == [200, 200]


def test_viewers_write_their_session_and_profile_only(server):
    from mage_ai.api import resources
    from mage_ai.orchestration.db.models.oauth import User

    viewer = {**server.sign_in("Viewer"), "X-API-KEY": PAGES_KEY}
    own = User.query.order_by(User.id.desc()).first()
    files = [path.stem for path in Path(resources.__path__[0]).glob("*Resource.py")]
    names = {name.removesuffix("Resource") for name in files} - {"Session", "User"}
    requests = [
        Ask(method, f"/api/{name}s{number}", viewer, b"{}")
        for name in sorted(names)
        for method, number in (("POST", ""), ("PUT", "/1"), ("DELETE", "/1"))
    ]
    requests += [
        Ask("POST", "/api/schedulers", viewer, b'{"scheduler": {"action_type": "stop"}}'),
        Ask("PUT", f"/api/users/{own.id}/projects/1", viewer, b"{}"),
    ]
    assert {answer.code for answer in server.send(*requests)} == {403}
    profile = json.dumps({"user": {"username": "renamed"}}).encode()
    roles = json.dumps({"user": {"roles_new": [1]}}).encode()
    owner = json.dumps({"user": {"owner": True}}).encode()
    password = json.dumps({"user": {"password": "x" * 12, "password_confirmation": "x" * 12}}).encode()
    renamed, *refused = server.send(
        Ask("PUT", f"/api/users/{own.id}", viewer, profile),
        Ask("PUT", f"/api/users/{own.id}", viewer, roles),
        Ask("PUT", f"/api/users/{own.id}", viewer, owner),
        Ask("PUT", "/api/users/1", viewer, password),
    )
    assert renamed.code != 403
    assert User.query.get(own.id).username == "renamed"
    assert [json.loads(answer.body)["error"]["code"] for answer in refused] == [403, 403, 403]
    (seen,) = server.send(Ask("GET", "/api/pipelines/taxi_trips", viewer))
    assert json.loads(seen.body)["pipeline"]["uuid"] == "taxi_trips"


def test_viewers_run_no_code(server):
    """Mage checks code from the WebSocket like an update of the project, which every role may do."""
    requests = [
        Ask("GET", path, server.sign_in(role))
        for role in ("Viewer", "Editor")
        for path in ("/websocket/", "/websocket/terminal")
    ]
    answers = server.send(*requests)
    assert [answer.code for answer in answers] == [403, 403, 400, 400]  # 400: no WebSocket's handshake


def test_an_expired_or_forged_session_is_none(server):
    import jwt
    from mage_ai.authentication.oauth2 import encode_token
    from mage_ai.orchestration.db.models.oauth import Oauth2AccessToken

    session = server.sign_in("Owner")
    token = Oauth2AccessToken.query.order_by(Oauth2AccessToken.id.desc()).first()
    forged = jwt.encode({"token": token.token}, "another key", algorithm="HS256")
    token.update(expires=dt.datetime(2024, 1, 1))
    late = encode_token(token.token, dt.datetime(2099, 1, 1))
    for cookie in (session["Cookie"], f"oauth_token={forged}", f"oauth_token={late}", "oauth_token=x"):
        (answer,) = server.send(Ask("GET", "/api/event_matchers", {"Cookie": cookie}))
        assert answer.code == 401


def test_the_health_check_names_no_paths_without_a_session(server):
    session = server.sign_in("Viewer")
    public, private = (
        json.loads(answer.body)["statuses"][0]
        for answer in server.send(Ask("GET", "/api/status"), Ask("GET", "/api/status", session))
    )
    assert set(public) == {
        *("scheduler_status", "require_user_authentication", "require_user_permissions", "project_type")
    }
    assert "repo_path" in private


def test_errors_name_no_paths_without_a_session(server):
    existing, unknown, broken, forms = server.send(
        Ask("GET", "/api/pipelines/taxi_trips/blocks/clean_trips/analyses"),
        Ask("GET", "/api/pipelines/unknown/blocks/clean_trips/analyses"),
        Ask("POST", "/api/sessions", JSON, b"{"),
        Ask("POST", "/api/sessions", JSON, b"[]"),
    )
    assert existing.body == unknown.body
    for answer in (broken, forms):
        assert answer.code == 500
        assert b"Traceback" not in answer.body
        assert b"File " not in answer.body


def test_wrong_logins_are_slowed_down_and_right_ones_are_not(server, monkeypatch):
    from mage_ai.settings import DEFAULT_OWNER_EMAIL, DEFAULT_OWNER_PASSWORD

    from launchers.mage import server_guard

    def login(password: str, **more: str) -> Ask:
        session = {"email": DEFAULT_OWNER_EMAIL, "password": password, **more}
        body = {"session": session, "api_key": PAGES_KEY}
        return Ask("POST", "/api/sessions", JSON, json.dumps(body).encode())

    server_guard.Login.attempts.clear()
    server_guard.Login.recent.clear()
    right = login(DEFAULT_OWNER_PASSWORD)
    for answer in server.send(*[right] * 7):
        assert json.loads(answer.body)["session"]["token"]
    assert not server_guard.Login.attempts
    server_guard.Login.recent.clear()
    (provider,) = server.send(login("", provider="google", token="of an attacker"))
    assert json.loads(provider.body)["error"]["message"] == "Sign in with e-mail and password."
    wrong = server.send(*[login(f"guess {number}") for number in range(4)])
    assert {json.loads(answer.body)["error"]["code"] for answer in wrong} == {404}
    slow, blocked = server.send(login("guess"), right)
    for answer in (slow, blocked):
        assert json.loads(answer.body)["error"]["message"] == "Too many wrong logins: wait a minute."
    monkeypatch.setattr(server_guard, "MINUTE", 0.0)  # it has passed
    (again,) = server.send(right)
    assert json.loads(again.body)["session"]["token"]
    monkeypatch.setattr(server_guard, "MINUTE", 60.0)
    server_guard.Login.attempts.clear()
    server_guard.Login.recent.clear()
    *_, allowed, eleventh = server.send(*[right] * 11)
    assert json.loads(allowed.body)["session"]["token"]
    assert json.loads(eleventh.body)["error"]["message"] == "Too many logins of this user: wait a minute."


def test_a_new_password_ends_the_users_other_sessions(server, monkeypatch):
    from mage_ai.api.resources.UserResource import UserResource
    from mage_ai.authentication.oauth2 import encode_token, generate_access_token
    from mage_ai.orchestration.db.models.oauth import Oauth2Application, User

    from launchers.mage.sessions import patch_sessions

    monkeypatch.setattr(UserResource, "update", UserResource.update)  # put back afterwards
    patch_sessions()
    key = {"X-API-KEY": PAGES_KEY}
    owner, other = server.sign_in("Owner") | key, server.sign_in("Viewer") | key
    user = User.query.order_by(User.id.desc()).first()
    token = generate_access_token(user, Oauth2Application.query.first())
    stolen = {"Cookie": f"oauth_token={encode_token(token.token, token.expires)}", **JSON, **key}
    secret = {"password": "x" * 12, "password_confirmation": "x" * 12}
    password = json.dumps({"user": secret}).encode()
    path = f"/api/users/{user.id}"
    look = [Ask("GET", "/api/pipelines", headers) for headers in (owner, other, stolen)]
    assert [answer.code for answer in server.send(*look)] == [200, 200, 200]
    server.send(Ask("PUT", path, owner, password))
    assert [answer.code for answer in server.send(*look)] == [200, 401, 401]


def test_outputs_of_blocks_end_with_the_session(server, monkeypatch):
    """An open WebSocket received them after the logout, for as long as it stayed open."""
    from mage_ai.server.websocket_server import WebSocketServer

    from launchers.mage.access import find_session
    from launchers.mage.sessions import patch_outputs

    monkeypatch.setattr(WebSocketServer, "write_message", WebSocketServer.write_message)
    patch_outputs()
    owner, other = server.sign_in("Owner"), server.sign_in("Owner")

    async def follow(port: int) -> list[Any]:
        url = f"ws://127.0.0.1:{port}/websocket/"
        clients = [await websocket_connect(HTTPRequest(url, headers=each)) for each in (owner, other)]
        for socket in WebSocketServer.clients:
            if socket.request.headers["Cookie"] == other["Cookie"]:
                find_session(socket.request).update(expires=dt.datetime(2020, 1, 1))
        for _ in range(2):
            WebSocketServer.send_message(
                {"msg_id": "1", "data": "output", "execution_metadata": {"block_uuid": "1"}}
            )
        received = [await client.read_message() for client in clients]
        clients[0].close()
        return received

    received, nothing = asyncio.run(serving(server.app, follow))
    assert json.loads(received)["data"] == ["output"]
    assert nothing is None


def test_the_token_of_a_trigger_starts_its_runs_and_nothing_else(server):
    from mage_ai.orchestration.db.models.schedules import PipelineRun, PipelineSchedule

    options = {"pipeline_uuid": "zone_lookup", "schedule_type": "api", "status": "active"}
    trigger = PipelineSchedule.create(name="from outside", token="secret", **options)
    other = PipelineSchedule.create(name="another", token="other", **options)
    timed = PipelineSchedule.create(name="monthly", token="secret", **options | {"schedule_type": "time"})
    bearer = {**JSON, "Authorization": "Bearer secret"}
    start = f"/api/pipeline_schedules/{trigger.id}"
    refused = server.send(
        Ask("POST", f"{start}/api_trigger", JSON, b"{}"),
        Ask("POST", f"{start}/api_trigger", {**JSON, "Authorization": "Bearer other"}, b"{}"),
        Ask("POST", f"{start}/pipeline_runs/other", JSON, b"{}"),
        Ask("POST", f"/api/pipeline_schedules/{other.id}/api_trigger", bearer, b"{}"),
        Ask("POST", f"/api/pipeline_schedules/{timed.id}/api_trigger", bearer, b"{}"),
        Ask("POST", "/api/pipeline_schedules/99/api_trigger", bearer, b"{}"),
        Ask("POST", "/api/pipeline_schedules/x/api_trigger", bearer, b"{}"),
        Ask("POST", "/api/runs", bearer, b"{}"),
        Ask("POST", "/api/runs/secret", JSON, b"{}"),
        Ask("GET", "/api/pipelines/zone_lookup", bearer),
    )
    assert {(answer.code, answer.body) for answer in refused} == {(401, refused[0].body)}
    runs = PipelineRun.query.filter(PipelineRun.pipeline_schedule_id.in_([trigger.id, other.id, timed.id]))
    assert runs.count() == 0
    accepted = server.send(
        Ask("POST", f"{start}/api_trigger", bearer, b"{}"),
        Ask("POST", f"{start}/pipeline_runs/secret", JSON, b"{}"),
    )
    assert all(json.loads(answer.body)["pipeline_run"]["id"] for answer in accepted)
    assert runs.count() == 2


def test_lists_of_runs_name_months_and_no_tokens(server):
    from mage_ai.orchestration.db.models.schedules import PipelineRun, PipelineSchedule

    from mage_project.utils.runs import record_month

    trigger = PipelineSchedule.create(
        name="monthly", pipeline_uuid="zone_lookup", schedule_type="api", token="a secret token"
    )
    run = PipelineRun.create(
        pipeline_schedule_id=trigger.id, pipeline_uuid="zone_lookup", variables={"source": "auto"}
    )
    record_month(run.id, LoadRequest(Service.GREEN, Month(2020, 4), "auto", ("postgres",)))
    viewer = {**server.sign_in("Viewer"), "X-API-KEY": PAGES_KEY}
    runs, triggers = server.send(
        Ask("GET", "/api/pipeline_runs?pipeline_uuid=zone_lookup", viewer),
        Ask("GET", "/api/pipelines/zone_lookup/pipeline_schedules", viewer),
    )
    (listed,) = [each for each in json.loads(runs.body)["pipeline_runs"] if each["id"] == run.id]
    assert listed["pipeline_schedule_name"] == "monthly (green 2020-04)"
    assert listed["variables"] == {"source": "auto", "service": "green", "month": "2020-04"}
    assert b"a secret token" not in runs.body
    assert json.loads(triggers.body)["pipeline_schedules"]
    assert b"a secret token" not in triggers.body
