"""Whatever happens to a request, its answer has our shape and an id."""

import asyncio
import json
from contextlib import suppress

import pytest
from edgevlm_server.http.transport.envelope import Envelope
from edgevlm_server.observe.record import Readers
from starlette.types import Message, Receive, Scope, Send

SCOPE = {"type": "http", "path": "/v1/models", "method": "GET", "headers": [], "client": ("127.0.0.1", 1)}


async def _receive() -> Message:
    return {"type": "http.disconnect"}


async def answered(error: BaseException) -> list[Message]:
    """What is sent where the application raises."""
    sent: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise error

    async def send(message: Message) -> None:
        sent.append(message)

    with suppress(RuntimeError):  # which uvicorn logs
        await Envelope(app, Readers())(dict(SCOPE), _receive, send)
    return sent


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [(asyncio.CancelledError(), 503, "shutting_down"), (RuntimeError("injected"), 500, "internal_error")],
)
def test_a_request_that_nobody_answers_is_answered(error: BaseException, status: int, code: str) -> None:
    start, body = asyncio.run(answered(error))
    headers = dict(start["headers"])
    assert start["status"] == status and headers[b"x-request-id"]
    assert headers[b"content-type"] == b"application/json; charset=utf-8"
    assert json.loads(body["body"])["error"]["code"] == code
