"""Local stubs of Google services without an emulator, as far as they are used here.

`serve()` yields a server that knows the Cloud SQL Admin API's export (it writes `export`, a table's CSV, to
where it is asked to, as Cloud SQL does), a job of the Storage Transfer Service, a Composer environment; what
is asked of GCS it passes on to an embedded server.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

CONNECTION = json.dumps(
    {"conn_type": "google_cloud_platform", "extra": {"project": "local", "is_anonymous": True}}
)
"""Value of AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT: anonymous credentials."""


def put(url: str, bucket: str, name: str, data: bytes) -> dict[str, Any]:
    """Write an object to a bucket of a GCS server; returns its resource."""
    params = {"uploadType": "media", "name": name}
    answer = httpx.post(f"{url}/upload/storage/v1/b/{bucket}/o", params=params, content=data)
    answer.raise_for_status()
    described: dict[str, Any] = answer.json()
    return described


@dataclass
class GoogleApis:
    """The running server."""

    url: str = ""
    storage: str = ""
    """URL of a GCS server that receives exports and forwarded GCS requests."""
    export: bytes = b""
    environment: dict[str, Any] = field(default_factory=dict)
    """Of Composer."""
    requests: list[tuple[str, str, Any]] = field(default_factory=list)
    """Method, path and body of each request."""
    masks: list[list[str]] = field(default_factory=list)
    """Changed fields of each PATCH."""

    def answer(self, method: str, path: str, body: Any) -> dict[str, Any]:
        self.requests.append((method, path, body))
        if path.endswith("/export"):
            bucket, _, name = body["exportContext"]["uri"].removeprefix("gs://").partition("/")
            put(self.storage, bucket, name, self.export)
            return {"name": "operation-1"}
        if "/environments/" in path and method == "PATCH":
            return {"name": "projects/local/locations/here/operations/1"}
        if "/environments/" in path:
            return self.environment
        if "/operations/" in path:
            return {"name": "operation-1", "status": "DONE", "done": True}
        if method == "POST" and path.endswith("/transferJobs"):
            return {**body, "name": "transferJobs/1"}
        if "/transferOperations" in path:
            metadata = {"status": "SUCCESS", "counters": {"objectsCopiedToSink": "3"}}
            return {"operations": [{"name": "transferOperations/1", "metadata": metadata}]}
        return body or {}


@contextmanager
def serve(storage: str = "", export: bytes = b"") -> Iterator[GoogleApis]:
    """Run a server on a free local port."""
    apis = GoogleApis(storage=storage, export=export)

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if re.match(r"/(storage|upload|resumable|download)/", self.path):
                self.pass_on(data)
                return
            if self.command == "PATCH":
                query = parse_qs(urlsplit(self.path).query)
                apis.masks.append(query.get("updateMask", [""])[0].split(","))
            answer = apis.answer(
                self.command, self.path.partition("?")[0], json.loads(data) if data else None
            )
            self.send(200, json.dumps(answer).encode())

        def pass_on(self, data: bytes) -> None:
            """Forward to the GCS server, which, unlike GCS, responds to a deletion with 200 and `null`."""
            headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
            answer = httpx.request(self.command, apis.storage + self.path, content=data, headers=headers)
            if self.command == "DELETE" and answer.status_code == 200:
                self.send(204, b"")
            else:
                self.send(answer.status_code, answer.content, answer.headers)

        def send(self, status: int, data: bytes, headers: Mapping[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in (headers or {"Content-Type": "application/json"}).items():
                if name.lower() in ("content-type", "location", "x-goog-generation", "x-goog-hash"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    apis.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield apis
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
