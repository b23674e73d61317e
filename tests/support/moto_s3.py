"""moto's S3 as a WSGI application, without moto's server, whose Flask conflicts with Mage's pins.

In memory. Supports preconditions except If-Match on the completion of a multipart upload, and verifies no
checksums.
"""

from __future__ import annotations

import io

from moto.core.request import Request as MotoRequest
from moto.core.request import normalize_request
from moto.s3.responses import S3Response
from werkzeug.wrappers import Request, Response


def moto_s3(request: Request) -> Response:
    """Serve path-style buckets of one account, ignoring signatures."""
    environ = {**request.environ, "wsgi.input": io.BytesIO(request.get_data())}
    environ.pop("werkzeug.request", None)
    converted = normalize_request(MotoRequest(environ))
    converted.from_wsgi_server = True
    has_key = "/" in request.path.strip("/")
    dispatch = S3Response.key_dispatch if has_key else S3Response.ambiguous_dispatch
    status, headers, body = dispatch(converted, converted.raw_url, dict(converted.headers))
    response = Response(body, status, headers)
    if request.method == "HEAD" and "content-length" in headers:
        response.headers["Content-Length"] = headers["content-length"]
    return response
