"""What every answer carries: a request id, the charset of JSON, one shape of error. Knows HTTP, no route.

It is also where a request's record is made, closed and handed on, and where requests are answered that nobody else
answers: those that are cancelled when the server ends, or meet a mistake of ours outside the routes. uvicorn's own
answer would be plain text without a request id.
"""

import asyncio
import re
import uuid

from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edgevlm_server.errors import ApiError, Unavailable
from edgevlm_server.observe.record import Readers, RequestRecord, plain, record_of

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")

_JSON = (b"content-type", b"application/json")
# some clients take JSON without a charset for Latin-1, whatever the standard says
_JSON_UTF8 = (b"content-type", b"application/json; charset=utf-8")


class ErrorResponse(JSONResponse):
    """The answer that tells a client of an error, and the record of its code."""

    def __init__(self, error: ApiError) -> None:
        super().__init__(error.body(), status_code=error.status, headers=error.headers)
        self._code = error.code

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        record_of(scope).code = self._code
        await super().__call__(scope, receive, send)


class Envelope:
    """Puts `x-request-id` on every answer, the client's own if it is short and plain; keeps the request's record."""

    def __init__(self, app: ASGIApp, readers: Readers) -> None:
        self._app = app
        self._readers = readers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        record = _begin(scope)
        scope.setdefault("state", {})["record"] = record

        async def send_completed(message: Message) -> None:
            if message["type"] == "http.response.start":
                record.status = message["status"]
                headers = [_JSON_UTF8 if header == _JSON else header for header in message["headers"]]
                message["headers"] = [*headers, (b"x-request-id", record.id.encode())]
            else:
                record.sent += len(message.get("body", b""))
                record.complete = not message.get("more_body", False)
            await send(message)

        try:
            await self._answered(scope, receive, send_completed)
            # an answer that is given up without an error is one whose client has left
            record.left |= not record.complete
        finally:
            record.close()
            self._readers.read(record)

    async def _answered(self, scope: Scope, receive: Receive, send: Send) -> None:
        """With an error if the application ends with an exception before it has begun its answer."""
        record = record_of(scope)
        try:
            await self._app(scope, receive, send)
        except asyncio.CancelledError:
            if record.status:
                raise
            await ErrorResponse(Unavailable.draining())(scope, receive, send)
        except Exception:
            if not record.status:
                await ErrorResponse(unexpected())(scope, receive, send)
            raise


def unexpected() -> ApiError:
    """A mistake of ours; the traceback is in the log, where uvicorn puts it, and the connection is closed."""
    return ApiError("The server failed on this request.", code="internal_error", headers={"connection": "close"})


def _begin(scope: Scope) -> RequestRecord:
    headers = dict(scope["headers"])
    given = headers.get(b"x-request-id", b"").decode("latin-1")
    traceparent = headers.get(b"traceparent")
    peer = scope.get("client")
    return RequestRecord(
        id=given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex,
        method=scope["method"],
        path=scope["path"],
        address=plain(peer[0]) if peer else None,  # a trusted proxy may call it anything
        traceparent=None if traceparent is None else traceparent.decode("latin-1"),
    )
