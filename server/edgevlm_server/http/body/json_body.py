"""The bytes of a JSON body to values: strict and bounded. Knows no HTTP and no request."""

import json
from typing import Any

from edgevlm_server.errors import InvalidRequest, UnsupportedMediaType

MAX_VALUES = 50_000
"""Commas and opening brackets in a body. Base64 has none and texts are bounded, so only a body that is made to cost
seconds of parsing comes near."""

MAX_WHOLE = 2**53
"""Beyond it a number with a point does not say which whole number is meant."""

_GZIP = b"\x1f\x8b"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def parse_json(body: bytes) -> Any:
    """JSON as the standard has it: no NaN or infinity, no key twice in an object; and not too many values.

    UTF-8, with or without the mark that Windows programs put in front. Raises `ApiError`.
    """
    text = _text(body)
    if body.count(b",") + body.count(b"[") + body.count(b"{") > MAX_VALUES:
        raise InvalidRequest("The body holds too many values.", code="too_many_values")
    try:
        return json.loads(text, parse_constant=_refuse, object_pairs_hook=_unique, parse_float=_number)
    except (ValueError, RecursionError):
        raise _invalid("The body is not valid JSON.") from None


def compressed() -> UnsupportedMediaType:
    """For a body that would have to be unpacked."""
    return UnsupportedMediaType(
        "Compressed bodies (gzip and others) are not taken: send the body as it is, without 'Content-Encoding'.",
        code="unsupported_content_encoding",
        headers={"accept-encoding": "identity"},
    )


def _text(body: bytes) -> str:
    if body.startswith(_GZIP):
        raise compressed()
    if body.startswith(_UTF_16) or b"\0" in body[:2]:
        raise _invalid("The body is UTF-16: JSON must be sent as UTF-8.")
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _invalid(
            "The body is not UTF-8, but perhaps Latin-1 (ISO 8859-1): JSON must be sent as UTF-8."
        ) from None


def _invalid(message: str) -> InvalidRequest:
    return InvalidRequest(message, code="invalid_json")


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
