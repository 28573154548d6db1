"""What every answer carries: a request id, the charset of JSON, one shape of error. Knows HTTP, no route."""

import re
import time
import uuid

from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edgevlm_server.errors import ApiError
from edgevlm_server.observe.access_log import log_answer

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")

_JSON = (b"content-type", b"application/json")
# some clients take JSON without a charset for Latin-1, whatever the standard says
_JSON_UTF8 = (b"content-type", b"application/json; charset=utf-8")


def refusal(error: ApiError) -> JSONResponse:
    """The answer that tells a client of an error."""
    return JSONResponse(error.body(), status_code=error.status, headers=error.headers)


class Envelope:
    """Puts `x-request-id` on every answer, the client's own if it is short and plain, and writes the access log."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")
        request_id = given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        start = time.monotonic()
        status = 0

        async def send_completed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [_JSON_UTF8 if header == _JSON else header for header in message["headers"]]
                message["headers"] = [*headers, (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            await self._app(scope, receive, send_completed)
        finally:
            log_answer(scope, status, time.monotonic() - start, request_id)
