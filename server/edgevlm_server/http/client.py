"""The client of a request: who it is, its body, and whether it is still there. Knows HTTP, no route and no inference.

Bodies are read by hand: FastAPI would read them before the key is checked, without a limit. Every way to fail is a
clear 4xx.
"""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated, Any

import anyio
from fastapi import Depends, Request
from pydantic import ValidationError
from starlette.requests import ClientDisconnect

from edgevlm_server.api.ask import AskForm, JsonAskForm, takes_json
from edgevlm_server.api.strict import Model, invalid
from edgevlm_server.errors import InvalidRequest, PayloadTooLarge, RequestTimeout, Unauthorized, UnsupportedMediaType
from edgevlm_server.http.multipart import form_values, parse_form
from edgevlm_server.keys import KeyRing
from edgevlm_server.runtime.admission import Arriving, Work
from edgevlm_server.service import Service

BODY_SECONDS = 60.0
"""A body that takes longer is given up: a phone photo over a slow radio link fits, a stalled sender does not."""

MAX_VALUES = 50_000
"""Commas and opening brackets in a body. Base64 has none and texts are bounded, so only a body that is made to cost
seconds of parsing comes near."""

MAX_WHOLE = 2**53
"""Beyond it a number with a point does not say which whole number is meant."""

LOOK_SECONDS = 1.0


async def get_service(request: Request) -> Service:
    """The service that this application was made for."""
    service: Service = request.app.state.service
    return service


Served = Annotated[Service, Depends(get_service)]


async def authorise(request: Request) -> None:
    """Raise `Unauthorized` unless the request carries the key of a known client, or no keys are set up."""
    keys: KeyRing | None = request.app.state.keys
    if keys is None:
        return
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    key = token.strip() if scheme.lower() == "bearer" else request.headers.get("x-api-key", "")
    client = keys.client_of(key)
    if client is None:
        service: Service = request.app.state.service
        service.metrics.unauthorized.inc()
        raise Unauthorized
    request.state.client = client


def client_of(request: Request) -> str | None:
    """The name of the client whose key was sent; `None` on a server without keys, where all are one client."""
    client: str | None = getattr(request.state, "client", None)
    return client


async def read_json(request: Request, model: type[Model], max_bytes: int, arriving: Arriving) -> Model:
    """Read, parse and check a JSON body. Raises an `ApiError`, or `ClientDisconnect`."""
    if _media_type(request) != "application/json":
        raise UnsupportedMediaType(
            "The body must be JSON: send the header 'Content-Type: application/json'.",
            code="unsupported_media_type",
        )
    return check(model, parse_json(await _read(request, max_bytes, arriving)))


async def read_form(request: Request, max_bytes: int, arriving: Arriving) -> AskForm:
    """Read, split and check a multipart form. Raises an `ApiError`, or `ClientDisconnect`."""
    if _media_type(request) != "multipart/form-data":
        raise UnsupportedMediaType(
            "The body must be a form: curl sends one for each -F, as in -F image=@part.jpg -F 'question=...'.",
            code="unsupported_media_type",
        )
    form = JsonAskForm if takes_json(request.headers.get("accept", "")) else AskForm
    body = await _read(request, max_bytes, arriving)
    return check(form, form_values(parse_form(body, request.headers["content-type"])))


def check(model: type[Model], data: Any) -> Model:
    """Validate against a model. Raises `InvalidRequest`."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise invalid(error) from None


def parse_json(body: bytes) -> Any:
    """JSON as the standard has it: UTF-8, no NaN or infinity, no key twice in an object, and not too many values."""
    if body.count(b",") + body.count(b"[") + body.count(b"{") > MAX_VALUES:
        raise InvalidRequest("The body holds too many values.", code="too_many_values")
    try:
        return json.loads(
            body.decode("utf-8"), parse_constant=_refuse, object_pairs_hook=_unique, parse_float=_number
        )
    except (ValueError, RecursionError):
        raise InvalidRequest("The body is not valid JSON.", code="invalid_json") from None


class DisconnectWatch:
    """Watches one client from its request's body until `stop`, whether its answer is streamed or not."""

    def __init__(self, request: Request) -> None:
        self.left = False
        self._callbacks: list[Callable[[], object]] = []
        self._task = asyncio.create_task(self._wait(request))

    def when_left(self, callback: Callable[[], object]) -> None:
        """Call `callback` once the client has left, at once if it already has."""
        if self.left:
            callback()
        else:
            self._callbacks.append(callback)

    def stop(self) -> None:
        """The answer is complete: leaving is no news any more."""
        self._task.cancel()

    def work(self) -> Work:
        """Work that is given up once the client has left; then it raises `ClientDisconnect`."""
        work = Work()
        self.when_left(lambda: work.give_up(ClientDisconnect()))
        return work

    async def _wait(self, request: Request) -> None:
        while not self.left:
            # uvicorn stops reading when bytes follow the request, and then never sees the end of the connection;
            # each new call makes it read on
            with suppress(asyncio.TimeoutError):
                message = await asyncio.wait_for(request.receive(), LOOK_SECONDS)
                self.left = message["type"] == "http.disconnect"
        for callback in self._callbacks:
            callback()


async def _read(request: Request, max_bytes: int, arriving: Arriving) -> bytes:
    """The whole body, counted as it comes: neither a wrong Content-Length nor none at all gets around the limit."""
    announced = request.headers.get("content-length", "")
    length = int(announced) if announced.isdecimal() and len(announced) < 20 else None
    if length is not None and length > max_bytes:
        raise _too_large(max_bytes, length)
    body = bytearray()
    with anyio.move_on_after(BODY_SECONDS) as deadline:
        async for chunk in request.stream():
            body += chunk
            arriving.size = len(body)
            if len(body) > max_bytes:
                raise _too_large(max_bytes, length)
    if deadline.cancelled_caught:
        raise RequestTimeout(f"The body did not arrive within {BODY_SECONDS:.0f} s.", code="request_timeout")
    return bytes(body)


def _too_large(max_bytes: int, length: int | None) -> PayloadTooLarge:
    # a body of a known size is read to its end and thrown away, so that the client gets to see the answer; one that
    # may never end is cut off
    endless = length is None or length > 10 * max_bytes
    return PayloadTooLarge(
        f"The body is larger than the limit of {max_bytes} bytes.",
        code="request_too_large",
        headers={"connection": "close"} if endless else {},
    )


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").split(";")[0].strip().lower()


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _number(text: str) -> float:
    """`16.0` and `1E2` are whole numbers: JSON has one kind of them, and some languages write all alike."""
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(text)
    return int(value) if value.is_integer() and abs(value) <= MAX_WHOLE else value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("duplicate key")
    return result
