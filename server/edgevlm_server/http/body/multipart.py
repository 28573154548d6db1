"""A multipart form to its fields. Knows no HTTP beyond the text of a content type, and no field.

The whole body is there and bounded before it is read, so splitting it is all there is to do: one pass, no state, and
no file on the disk. Lines may end in LF alone and contents may be base64, as old clients write them; what else RFC
7578 leaves out of forms (nested parts, other encodings) is refused.
"""

import base64
import binascii
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


def parse_form(body: bytes | bytearray, content_type: str) -> list[FormField]:
    """The fields in their order. Raises `InvalidRequest` for what is no form."""
    boundary = _BOUNDARY.search(content_type)
    if boundary is None:
        raise invalid_form("the content type names no boundary")
    mark = b"--" + (boundary[1] or boundary[2]).encode("ascii")
    line_end = _line_end(body, mark)
    # the first mark may stand at the very beginning
    parts = (line_end + body).split(line_end + mark, MAX_FIELDS + 2)
    if len(parts) > MAX_FIELDS + 2:
        raise invalid_form(f"it has more than {MAX_FIELDS} fields")
    if len(parts) < 2 or not parts[-1].startswith(b"--"):
        raise invalid_form("it does not end with its boundary")
    return [_field(part, line_end) for part in parts[1:-1]]


def _line_end(body: bytes | bytearray, mark: bytes) -> bytes:
    """What ends the first mark's line, and with it every line of the form."""
    first = re.search(re.escape(mark) + rb"[ \t]*(\r?\n)", body)
    return first[1] if first else b"\r\n"


def _field(part: bytes, line_end: bytes) -> FormField:
    head, blank, content = part.partition(2 * line_end)
    # white space may stand between a mark and the end of its line
    padding, _, lines = (head + line_end).partition(line_end)
    if not blank or padding.strip(b" \t") or len(head) > MAX_HEAD:
        raise invalid_form("a field has no headers, or too many")
    headers = dict(_header(line) for line in lines.split(line_end) if line)
    disposition = _DISPOSITION.fullmatch(headers.get("content-disposition", ""))
    if disposition is None:
        raise invalid_form("a field has headers that a form does not have")
    parameters = {name.lower(): _unquoted(value) for name, value in _PARAMETER.findall(disposition["parameters"])}
    if "name" not in parameters:
        raise invalid_form("a field has no name")
    file_name = parameters.get("filename", parameters.get("filename*"))
    encoding = headers.get("content-transfer-encoding", "binary").strip().lower()
    return FormField(parameters["name"], _decoded(content, encoding), file_name)


def _decoded(content: bytes, encoding: str) -> bytes:
    if encoding in ("binary", "7bit", "8bit"):
        return content
    if encoding != "base64":
        raise invalid_form("a field has a Content-Transfer-Encoding other than binary, 7bit, 8bit and base64")
    try:
        return base64.b64decode(content.translate(None, b" \t\r\n"), validate=True)
    except binascii.Error:
        raise invalid_form("a field says that it is base64, which it is not") from None


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
