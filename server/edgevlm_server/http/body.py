"""From the bytes of a request to a checked model, with every way to fail as a clear 4xx. Knows no inference."""

import json
import re
from typing import Any, TypeVar

import anyio
from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from edgevlm_server.api.strict_model import UNSUPPORTED
from edgevlm_server.errors import InvalidRequest, PayloadTooLarge, RequestTimeout, UnsupportedMediaType

BODY_SECONDS = 60.0
"""A body that takes longer is given up: a phone photo over a slow radio link fits, a stalled sender does not."""

MAX_VALUES = 50_000
"""Commas and opening brackets in a body. Base64 has none and texts are bounded, so only a body that is made to cost
seconds of parsing comes near."""

Model = TypeVar("Model", bound=BaseModel)


async def read_model(request: Request, model: type[Model], max_bytes: int) -> Model:
    """Read, parse and check a JSON body. Raises an `ApiError`, or `ClientDisconnect`."""
    content_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if content_type != "application/json":
        raise UnsupportedMediaType(
            "The body must be JSON: send the header 'Content-Type: application/json'.",
            code="unsupported_media_type",
        )
    return check(model, parse_json(await read_body(request, max_bytes)))


async def read_body(request: Request, max_bytes: int) -> bytes:
    """The whole body, counted as it comes: neither a wrong Content-Length nor none at all gets around the limit."""
    announced = request.headers.get("content-length", "")
    length = int(announced) if announced.isdecimal() and len(announced) < 20 else None
    # a body of a known size is read to its end and thrown away, so that the client gets to see the answer; one that
    # may never end is cut off
    endless = length is None or length > 10 * max_bytes
    too_large = PayloadTooLarge(
        f"The body is larger than the limit of {max_bytes} bytes.",
        code="request_too_large",
        headers={"connection": "close"} if endless else {},
    )
    if length is not None and length > max_bytes:
        raise too_large
    body = bytearray()
    with anyio.move_on_after(BODY_SECONDS) as deadline:
        async for chunk in request.stream():
            body += chunk
            if len(body) > max_bytes:
                raise too_large
    if deadline.cancelled_caught:
        raise RequestTimeout(f"The body did not arrive within {BODY_SECONDS:.0f} s.", code="request_timeout")
    return bytes(body)


def parse_json(body: bytes) -> Any:
    """JSON as the standard has it: UTF-8, no NaN or infinity, no key twice in an object, and not too many values."""
    if body.count(b",") + body.count(b"[") + body.count(b"{") > MAX_VALUES:
        raise InvalidRequest("The body holds too many values.", code="too_many_values")
    try:
        return json.loads(
            body.decode("utf-8"), parse_constant=_refuse, object_pairs_hook=_unique, parse_float=_finite
        )
    except (ValueError, RecursionError):
        raise InvalidRequest("The body is not valid JSON.", code="invalid_json") from None


def check(model: type[Model], data: Any) -> Model:
    """Validate against a model. The message says what is expected where, and never what was sent."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    path = _path(first["loc"])
    if first["type"] == "extra_forbidden":
        raise InvalidRequest(
            "A parameter is not supported." if path is None else f"'{path}' is not supported.",
            code="unsupported_parameter",
            param=path,
        )
    if first["type"] == UNSUPPORTED:
        raise InvalidRequest(f"'{path}' is not supported: {first['msg']}.", code="unsupported_parameter", param=path)
    message = first["msg"] if first["type"] != "string_unicode" else "Text must be valid Unicode"
    raise InvalidRequest(f"{path or 'The body'}: {message}.", code="invalid_value", param=path)


def _path(location: tuple[int | str, ...]) -> str | None:
    """Where an error is, as `messages.0.content`. Keys that the client chose are repeated only if they look sane."""
    path = ".".join(str(part) for part in location if not str(part).startswith("~"))
    return path if re.fullmatch(r"[A-Za-z0-9_.]{1,120}", path) else None


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(text)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("duplicate key")
    return result
