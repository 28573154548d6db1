"""A text's pattern or format as one expression for all of it. Pure text."""

from collections.abc import Mapping
from typing import Any

from edgevlm_server.filled.tree import Unfillable
from edgevlm_server.guided.json_schema import NO_GROUPS
from edgevlm_server.guided.patterns import without_lookahead

ANY = r"[^\r\n]*"

_DATE = r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])"
_TIME = r"(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,9})?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)"
_BYTE = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"

_FORMATS = {
    "date": _DATE,
    "time": _TIME,
    "date-time": f"{_DATE}T{_TIME}",
    "uuid": r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    "ipv4": rf"(?:{_BYTE}\.){{3}}{_BYTE}",
}


def whole_text(schema: Mapping[str, Any]) -> str | None:
    """What a text must match from its beginning to its end, if anything. Raises `Unfillable`."""
    pattern, format_name = schema.get("pattern"), schema.get("format")
    if pattern is not None and format_name is not None:
        raise Unfillable("a text with a pattern and a format")
    if format_name is not None:
        if format_name not in _FORMATS:
            raise Unfillable(f"a text of the format '{format_name}'")
        return _FORMATS[format_name]
    return None if pattern is None else _unanchored(without_lookahead(pattern) or pattern)


def _unanchored(pattern: str) -> str:
    """JSON Schema looks for a pattern anywhere in a text, so anything may stand around what has no anchors."""
    begins, ends = pattern.startswith("^"), pattern.endswith("$") and not _escaped(pattern[:-1])
    inner = pattern[begins : len(pattern) - ends]
    if {"^", "$"} & {*NO_GROUPS.sub("", inner)}:
        raise Unfillable("a pattern with anchors within")
    return f"{'' if begins else ANY}(?:{inner}){'' if ends else ANY}"


def _escaped(before: str) -> bool:
    """Whether a character behind this text stands for itself."""
    return (len(before) - len(before.rstrip("\\"))) % 2 == 1
