"""A stub of the part of GCS's JSON API that we use, with preconditions and checksums.

Emulators support neither on resumable uploads. In memory; one bucket, `taxi`.
API: https://cloud.google.com/storage/docs/json_api/v1/objects
"""

from __future__ import annotations

import base64
import itertools
import json
import re
import threading
from dataclasses import dataclass, field
from email.parser import BytesParser
from typing import Any

import google_crc32c
from werkzeug.wrappers import Request, Response

_OBJECT = r"(?:/storage/v1)?/b/taxi/o/(.+?)"


@dataclass
class _Begun:
    """A resumable upload."""

    name: str
    meta: dict[str, Any]
    match: str | None
    size: int
    data: bytearray = field(default_factory=bytearray)


class StubGcs:
    """The application; `objects` holds resource and bytes by name."""

    def __init__(self) -> None:
        self.objects: dict[str, tuple[dict[str, Any], bytes]] = {}
        self.uploads: dict[str, _Begun] = {}
        self._numbers = itertools.count(1001)
        self._lock = threading.Lock()

    def __call__(self, request: Request) -> Response:
        with self._lock:
            if copied := re.fullmatch(f"{_OBJECT}/rewriteTo{_OBJECT}", request.path):
                return self._copy(request, copied[1], copied[2])
            bucket, name = _parts(request.path)
            if bucket != "taxi":
                return _error(404, "The specified bucket does not exist.")
            if request.path.startswith("/upload/"):
                return self._upload(request)
            if name is None:
                return self._list(request)
            if name not in self.objects:
                return _error(404, f"No such object: taxi/{name}")
            if request.method == "DELETE":
                return self._delete(name, request.args.get("ifGenerationMatch"))
            return self._get(request, *self.objects[name])

    def _list(self, request: Request) -> Response:
        prefix, after = request.args.get("prefix", ""), request.args.get("pageToken", "")
        names = sorted(name for name in self.objects if name.startswith(prefix) and name > after)
        page: dict[str, Any] = {"items": [{"name": name} for name in names[:2]]}  # pages of two
        if names[2:]:
            page["nextPageToken"] = names[1]
        return _json(page)

    def _get(self, request: Request, resource: dict[str, Any], data: bytes) -> Response:
        if request.args.get("alt") != "media":
            return _json(resource)
        headers = {
            "X-Goog-Generation": resource["generation"],
            "X-Goog-Hash": f"crc32c={resource['crc32c']}",
        }
        return Response(data, headers=headers)

    def _delete(self, name: str, match: str | None) -> Response:
        if not self._matches(name, match):
            return _error(412, "At least one of the pre-conditions you specified did not hold.")
        del self.objects[name]
        return Response(status=204)

    def _copy(self, request: Request, source: str, target: str) -> Response:
        if source not in self.objects:
            return _error(404, f"No such object: taxi/{source}")
        if not self._matches(target, request.args.get("ifGenerationMatch")):
            return _error(412, "At least one of the pre-conditions you specified did not hold.")
        resource, data = self.objects[source]
        self.store(target, {**resource, "name": target}, data)
        size = str(len(data))
        return _json(
            {
                "kind": "storage#rewriteResponse",
                "done": True,
                "objectSize": size,
                "totalBytesRewritten": size,
                "resource": self.objects[target][0],
            }
        )

    def _upload(self, request: Request) -> Response:
        if request.args["uploadType"] == "multipart":
            head = f"Content-Type: {request.headers['Content-Type']}\r\n\r\n".encode()
            message: Any = BytesParser().parsebytes(head + request.get_data())
            meta, content = message.get_payload()
            data = content.get_payload(decode=True)
            resource = json.loads(meta.get_payload(decode=True))
            resource.setdefault("contentType", content.get_content_type())
            return self._finish(resource["name"], resource, data, request.args.get("ifGenerationMatch"))
        if request.method == "POST":
            meta = json.loads(request.get_data())
            match = request.args.get("ifGenerationMatch")
            if not self._matches(meta["name"], match):
                return _error(412, "At least one of the pre-conditions you specified did not hold.")
            number = str(next(self._numbers))
            size = int(request.headers["X-Upload-Content-Length"])
            self.uploads[number] = _Begun(meta["name"], meta, match, size)
            return Response(headers={"Location": f"{request.url}&upload_id={number}"})
        return self._resume(request)

    def _resume(self, request: Request) -> Response:
        upload = self.uploads.get(request.args["upload_id"])
        if upload is None:
            return _error(404, "No such upload.")
        span = re.fullmatch(r"bytes (?:\*|(\d+)-\d+)/(\d+)", request.headers["Content-Range"])
        assert span
        assert int(span[2]) == upload.size
        if span[1]:
            assert int(span[1]) == len(upload.data), "a gap, or bytes sent twice"
            upload.data += request.get_data()
        if len(upload.data) < upload.size:
            received = {"Range": f"bytes=0-{len(upload.data) - 1}"} if upload.data else {}
            return Response(status=308, headers=received)
        return self._finish(upload.name, upload.meta, bytes(upload.data), upload.match)

    def _finish(self, name: str, meta: dict[str, Any], data: bytes, match: str | None) -> Response:
        if not self._matches(name, match):
            return _error(412, "At least one of the pre-conditions you specified did not hold.")
        crc32c = checksum(data)
        if meta.get("crc32c", crc32c) != crc32c:
            message = f'Provided CRC32C "{meta["crc32c"]}" doesn\'t match calculated CRC32C "{crc32c}".'
            return _error(400, message)
        self.store(name, meta, data)
        return _json(self.objects[name][0])

    def store(self, name: str, meta: dict[str, Any], data: bytes) -> None:
        """Store an object."""
        generation = str(next(self._numbers))
        resource = {**meta, "generation": generation, "crc32c": checksum(data), "size": str(len(data))}
        self.objects[name] = resource, data

    def _matches(self, name: str, match: str | None) -> bool:
        generation = self.objects[name][0]["generation"] if name in self.objects else "0"
        return match in (None, generation)


def checksum(data: bytes) -> str:
    """Return the CRC32C in the API's format."""
    return base64.b64encode(google_crc32c.value(data).to_bytes(4, "big")).decode()


def _parts(path: str) -> tuple[str, str | None]:
    match = re.fullmatch(r"(?:/upload|/download)?/storage/v1/b/([^/]+)/o(?:/(.+))?", path)
    assert match, path
    return match[1], match[2]


def _json(value: Any) -> Response:
    return Response(json.dumps(value), content_type="application/json")


def _error(status: int, message: str) -> Response:
    body = {"error": {"code": status, "message": message, "errors": [{"message": message}]}}
    return Response(json.dumps(body), status, content_type="application/json")
