"""The bytes of a JSON body to values: strict and bounded. Knows no HTTP and no request."""

import json
from typing import Any

from edgevlm_server.errors import InvalidRequest, UnsupportedMediaType
from edgevlm_server.http.body.long_texts import LongTexts

MAX_VALUES = 50_000
"""Commas and opening brackets in a body. Base64 has none and texts are bounded, so only a body that is made to cost
seconds of parsing comes near."""

MAX_ESCAPES = 65_536
"""Backslashes in a body, beside one for 16 bytes: as in base64 with an escape for each line break, plus and slash."""

MAX_WHOLE = 2**53
"""Beyond it a number with a point does not say which whole number is meant."""

_GZIP = b"\x1f\x8b"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


MAX_REST = 2**22
"""Bytes of a body without its long texts: what is not a picture."""


def parse_json(body: bytes | bytearray) -> Any:
    """JSON as the standard has it: no NaN or infinity, no key twice in an object; and not too many values.

    UTF-8, with or without the mark that Windows programs put in front. Raises `ApiError`.
    """
    if body.startswith(_GZIP):
        raise compressed()
    if body.startswith(_UTF_16) or b"\0" in body[:2]:
        raise _invalid("The body is UTF-16: JSON must be sent as UTF-8.")
    _check_counts(body)
    try:
        return _parse(body)
    except UnicodeDecodeError:
        raise _invalid(
            "The body is not UTF-8, but perhaps Latin-1 (ISO 8859-1): JSON must be sent as UTF-8."
        ) from None
    except (ValueError, RecursionError):
        raise _invalid("The body is not valid JSON.") from None


def compressed() -> UnsupportedMediaType:
    """For a body that would have to be unpacked."""
    return UnsupportedMediaType(
        "Compressed bodies (gzip and others) are not taken: send the body as it is, without 'Content-Encoding'.",
        code="unsupported_content_encoding",
        headers={"accept-encoding": "identity"},
    )


def _check_counts(body: bytes | bytearray) -> None:
    """Before anything is looked at one by one."""
    values = body.count(b",") + body.count(b"[") + body.count(b"{")
    escapes = body.count(b"\\")
    if values > MAX_VALUES:
        raise InvalidRequest("The body holds too many values.", code="too_many_values")
    if escapes > MAX_ESCAPES + len(body) // 16:
        raise InvalidRequest("The body holds too many escapes.", code="too_many_values")
    # each value but the first follows one of those characters, and has at most a name and a text
    if body.count(b'"') > 4 * values + 2 + escapes:
        raise _invalid("The body is not valid JSON.")


def _parse(body: bytes | bytearray) -> Any:
    texts = LongTexts(body)
    if len(texts.rest) > MAX_REST:
        raise InvalidRequest("The body holds too much beside its pictures.", code="request_too_large")
    return json.loads(
        texts.rest.decode("utf-8-sig"), parse_constant=texts.next, object_pairs_hook=_unique, parse_float=_number
    )


def _invalid(message: str) -> InvalidRequest:
    return InvalidRequest(message, code="invalid_json")


def _number(text: str) -> float:
    """`16.0` and `1E2` are whole numbers: JSON has one kind of them, and some languages write all alike."""
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(text)
    return int(value) if value.is_integer() and abs(value) <= MAX_WHOLE else value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise _invalid("The body has the same key twice in one object.")
    return result
