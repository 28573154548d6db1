"""A request's body, read and checked. Knows HTTP, no route and no inference.

Bodies are read by hand: FastAPI would read them before the key is checked, without a limit. Every way to fail is a
clear 4xx.
"""

from typing import Any, TypeVar

import anyio
from fastapi import Request
from pydantic import BaseModel, ValidationError

from edgevlm_server.api.accept import takes_json
from edgevlm_server.api.ask import AskForm, JsonAskForm
from edgevlm_server.api.strict import Model, invalid
from edgevlm_server.errors import PayloadTooLarge, RequestTimeout, UnsupportedMediaType
from edgevlm_server.http.body.ask_form import form_values
from edgevlm_server.http.body.json_body import compressed, parse_json
from edgevlm_server.http.body.multipart import parse_form
from edgevlm_server.observe.record import record_of
from edgevlm_server.runtime.bodies import Arriving

OtherModel = TypeVar("OtherModel", bound=BaseModel)

BODY_SECONDS = 60.0
"""A body that takes longer is given up: a phone photo over a slow radio link fits, a stalled sender does not."""


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
    return await _read_form(request, form, max_bytes, arriving)


async def read_json_or_form(
    request: Request, model: type[Model], form: type[OtherModel], max_bytes: int, arriving: Arriving
) -> Model | OtherModel:
    """The same for a route that takes both. Raises an `ApiError`, or `ClientDisconnect`."""
    if _media_type(request) == "multipart/form-data":
        return await _read_form(request, form, max_bytes, arriving)
    return await read_json(request, model, max_bytes, arriving)


async def _read_form(request: Request, model: type[Model], max_bytes: int, arriving: Arriving) -> Model:
    body = await _read(request, max_bytes, arriving)
    return check(model, form_values(parse_form(body, request.headers["content-type"])))


def check(model: type[Model], data: Any) -> Model:
    """Validate against a model. Raises `InvalidRequest`."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise invalid(error) from None


async def _read(request: Request, max_bytes: int, arriving: Arriving) -> bytearray:
    """The whole body, counted as it comes: neither a wrong Content-Length nor none at all gets around the limit."""
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise compressed()
    announced = request.headers.get("content-length", "")
    length = int(announced) if announced.isdecimal() and len(announced) < 20 else None
    if length is not None and length > max_bytes:
        raise _too_large(max_bytes, length)
    part = 1.0 if length is None else length / max_bytes
    body, record = bytearray(), record_of(request.scope)
    with anyio.move_on_after(BODY_SECONDS) as deadline:
        async for chunk in request.stream():
            body += chunk
            record.received = len(body)
            if len(body) > max_bytes:
                raise _too_large(max_bytes, length)
            await arriving.grow(len(body), part)
    if deadline.cancelled_caught:
        raise RequestTimeout(f"The body did not arrive within {BODY_SECONDS:.0f} s.", code="request_timeout")
    return body


def _too_large(max_bytes: int, length: int | None) -> PayloadTooLarge:
    # the rest of a body of a known size is read and thrown away, and the connection kept; a client whose body may
    # never end is told that the connection does
    endless = length is None or length > 10 * max_bytes
    return PayloadTooLarge(
        f"The body is larger than the limit of {max_bytes} bytes.",
        code="request_too_large",
        headers={"connection": "close"} if endless else {},
    )


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").split(";")[0].strip().lower()
