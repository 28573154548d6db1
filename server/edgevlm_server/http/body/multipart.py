"""A multipart form to its fields. Knows no HTTP beyond the text of a content type, and no field.

The whole body is there and bounded before it is read, so splitting it is all there is to do: one pass, no state, and
no file on the disk. What RFC 7578 leaves out of forms (nested parts, other encodings) is refused.
"""

import re
from typing import NamedTuple

from edgevlm_server.errors import InvalidRequest

MAX_FIELDS = 64
MAX_HEAD = 1024
"""Bytes of one field's headers."""

# quoted or not, and in the characters that clients really use; RFC 2046 has fewer
_BOUNDARY = re.compile(
    r";[ \t]*boundary[ \t]*=[ \t]*(?:\"([!#-\[\]-~ ]{1,70})\"|([!#-+\--:<-~]{1,70}))[ \t]*(?:;|$)", re.IGNORECASE
)
_VALUE = r"(?:\"(?:[^\"\\]|\\.)*\"|[^\";, \t]*)"
_DISPOSITION = re.compile(
    rf"[ \t]*form-data(?P<parameters>(?:[ \t]*;[ \t]*[a-z*]+[ \t]*=[ \t]*{_VALUE})*)[ \t]*;?[ \t]*",
    re.IGNORECASE | re.DOTALL,
)
_PARAMETER = re.compile(rf";[ \t]*([a-z*]+)[ \t]*=[ \t]*({_VALUE})", re.IGNORECASE | re.DOTALL)


class FormField(NamedTuple):
    """One field. `file_name` is `None` for one that was not sent as a file, and empty where no file was chosen."""

    name: str
    content: bytes
    file_name: str | None = None


def parse_form(body: bytes, content_type: str) -> list[FormField]:
    """The fields in their order. Raises `InvalidRequest` for what is no form."""
    boundary = _BOUNDARY.search(content_type)
    if boundary is None:
        raise invalid_form("the content type names no boundary")
    mark = b"\r\n--" + (boundary[1] or boundary[2]).encode("ascii")
    # the first mark may stand at the very beginning
    parts = (b"\r\n" + body).split(mark, MAX_FIELDS + 2)
    if len(parts) > MAX_FIELDS + 2:
        raise invalid_form(f"it has more than {MAX_FIELDS} fields")
    if len(parts) < 2 or not parts[-1].startswith(b"--"):
        raise invalid_form("it does not end with its boundary")
    return [_field(part) for part in parts[1:-1]]


def _field(part: bytes) -> FormField:
    head, blank, content = part.partition(b"\r\n\r\n")
    # white space may stand between a mark and the end of its line
    padding, line_end, lines = (head + b"\r\n").partition(b"\r\n")
    if not blank or not line_end or padding.strip(b" \t") or len(head) > MAX_HEAD:
        raise invalid_form("a field has no headers, or too many")
    headers = dict(_header(line) for line in lines.split(b"\r\n") if line)
    encoding = headers.get("content-transfer-encoding", "binary").strip().lower()
    disposition = _DISPOSITION.fullmatch(headers.get("content-disposition", ""))
    if disposition is None or encoding not in ("binary", "7bit", "8bit"):
        raise invalid_form("a field has headers that a form does not have")
    parameters = {name.lower(): _unquoted(value) for name, value in _PARAMETER.findall(disposition["parameters"])}
    if "name" not in parameters:
        raise invalid_form("a field has no name")
    file_name = parameters.get("filename", parameters.get("filename*"))
    return FormField(parameters["name"], content, file_name)


def _unquoted(value: str) -> str:
    """Without its quotes; a backslash stays, as in a path of Windows, unless a quote follows."""
    return value[1:-1].replace('\\"', '"') if value.startswith('"') else value


def _header(line: bytes) -> tuple[str, str]:
    name, colon, value = line.decode("utf-8", "replace").partition(":")
    if not colon:
        raise invalid_form("a field has a header without a value")
    return name.strip().lower(), value


def invalid_form(reason: str) -> InvalidRequest:
    """What is sent back for it; `reason` goes on after a colon."""
    return InvalidRequest(f"The body is not a form: {reason}.", code="invalid_form")
