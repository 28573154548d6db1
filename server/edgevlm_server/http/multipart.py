"""A multipart form to its fields, and these to values. Knows no HTTP beyond the text of a content type.

The whole body is there and bounded before it is read, so splitting it is all there is to do: one pass, no state, and
no file on the disk. What RFC 7578 leaves out of forms (nested parts, other encodings) is refused.
"""

import re
from typing import Any, NamedTuple

from edgevlm_server.errors import InvalidRequest

MAX_FIELDS = 64
MAX_HEAD = 1024
"""Bytes of one field's headers."""

_BOUNDARY = re.compile(
    r";[ \t]*boundary=(?:\"([0-9A-Za-z'()+_,./:=? -]{1,70})\"|([0-9A-Za-z'+_./:=?-]{1,70}))[ \t]*(?:;|$)",
    re.IGNORECASE,
)
_DISPOSITION = re.compile(
    r"[ \t]*form-data(?P<parameters>(?:[ \t]*;[ \t]*[a-z*]+=(?:\"[^\"]*\"|[^\";, \t]*))*)[ \t]*"
)
_PARAMETER = re.compile(r";[ \t]*([a-z*]+)=(?:\"([^\"]*)\"|([^\";, \t]*))")


class FormField(NamedTuple):
    """One field; the name of a file that came with it is not kept."""

    name: str
    content: bytes


def parse_form(body: bytes, content_type: str) -> list[FormField]:
    """The fields in their order. Raises `InvalidRequest` for what is no form."""
    boundary = _BOUNDARY.search(content_type)
    if boundary is None:
        raise _invalid("the content type names no boundary")
    mark = b"\r\n--" + (boundary[1] or boundary[2]).encode("ascii")
    # the first mark may stand at the very beginning
    parts = (b"\r\n" + body).split(mark, MAX_FIELDS + 2)
    if len(parts) > MAX_FIELDS + 2:
        raise _invalid(f"it has more than {MAX_FIELDS} fields")
    if len(parts) < 2 or not parts[-1].startswith(b"--"):
        raise _invalid("it does not end with its boundary")
    return [_field(part) for part in parts[1:-1]]


def form_values(fields: list[FormField]) -> dict[str, Any]:
    """Values as the form of `/ask` takes them. Raises `InvalidRequest` for a field that is there twice."""
    values: dict[str, Any] = {"image": [field.content for field in fields if field.name == "image"]}
    for field in fields:
        if field.name == "image":
            continue
        if field.name in values:
            raise InvalidRequest("A field other than 'image' appears more than once.", code="invalid_form")
        values[field.name] = _value(field)
    return values


def _value(field: FormField) -> str | int:
    text = _text(field)
    # `0x10`, `1_000` and the like stay texts, which are no numbers for the model
    number = text.isascii() and text.isdecimal() and len(text) < 10
    return int(text) if field.name == "max_tokens" and number else text


def _text(field: FormField) -> str:
    try:
        return field.content.decode("utf-8")
    except UnicodeDecodeError:
        raise _invalid("a text in it is not UTF-8") from None


def _field(part: bytes) -> FormField:
    head, blank, content = part.partition(b"\r\n\r\n")
    # white space may stand between a mark and the end of its line
    padding, line_end, lines = (head + b"\r\n").partition(b"\r\n")
    if not blank or not line_end or padding.strip(b" \t") or len(head) > MAX_HEAD:
        raise _invalid("a field has no headers, or too many")
    headers = dict(_header(line) for line in lines.split(b"\r\n") if line)
    encoding = headers.get("content-transfer-encoding", "binary").strip().lower()
    disposition = _DISPOSITION.fullmatch(headers.get("content-disposition", ""))
    if disposition is None or encoding not in ("binary", "7bit", "8bit"):
        raise _invalid("a field has headers that a form does not have")
    parameters = {name: quoted or plain for name, quoted, plain in _PARAMETER.findall(disposition["parameters"])}
    if "name" not in parameters:
        raise _invalid("a field has no name")
    return FormField(parameters["name"], content)


def _header(line: bytes) -> tuple[str, str]:
    name, colon, value = line.decode("utf-8", "replace").partition(":")
    if not colon:
        raise _invalid("a field has a header without a value")
    return name.strip().lower(), value


def _invalid(reason: str) -> InvalidRequest:
    return InvalidRequest(f"The body is not a form: {reason}.", code="invalid_form")
