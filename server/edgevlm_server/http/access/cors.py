"""Pages of other origins that may use the API from a browser (CORS), with refusals in our shape. Knows no route."""

from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp

from edgevlm_server.http.access.hosts import refused_origin
from edgevlm_server.http.transport.envelope import ErrorResponse

READABLE = (
    *("x-request-id", "retry-after", "x-should-retry", "x-confidence", "x-refused"),
    *(f"x-ratelimit-{what}-{kind}" for what in ("limit", "remaining", "reset") for kind in ("requests", "tokens")),
)
"""What of an answer's head a page may read, beside what it always may."""


class Cors(CORSMiddleware):
    """`origins` are as browsers send them, or `*` for all. Keys come in headers; cookies are never allowed."""

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=("GET", "HEAD", "POST"),
            # client libraries send many of their own
            allow_headers=("*",),
            allow_private_network=True,
            expose_headers=READABLE,
        )

    def preflight_response(self, request_headers: Headers) -> Response:
        """The answer to a browser that asks before it sends."""
        response = super().preflight_response(request_headers)
        if response.status_code == 200:
            return response
        return ErrorResponse(refused_origin())
