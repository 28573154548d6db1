"""Which JSON schemas an answer can be held to. Knows keywords and sizes; nothing of grammars and tokens.

A keyword that constrains and would not be enforced is refused by name: an answer that only seems checked is worse
than an error. Annotations, of which generators write many, are left out.
"""

import math
import re
from typing import Any

from edgevlm_server.guided.patterns import without_lookahead

MAX_SIZE = 32_768
"""Characters of the schema written as JSON."""
MAX_DEPTH = 32
"""Of schemas inside schemas, and of lists and objects inside values."""
MAX_REGEX = 512
"""Characters of one regular expression."""
MAX_BOUND = 4096
"""Of a bound on lengths and counts, and of all counts in one regular expression multiplied: no answer is longer."""
COUNT = re.compile(r"\{(?:\d+,)?(\d+),?\}")
"""The larger number of `{3}`, `{3,}` and `{3,5}`."""
MAX_NUMBER = 2**53
"""Beyond it JSON readers disagree about what was written."""

LOOKAROUND = re.compile(r"\(\?<?[=!]")
NO_GROUPS = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)
"""Characters that stand for themselves, and classes."""

ANNOTATIONS = {
    *("$schema", "$comment", "$id", "id", "$anchor", "title", "description", "default", "example", "examples"),
    *("deprecated", "readOnly", "writeOnly", "discriminator", "externalDocs", "xml", "propertyOrdering", "strict"),
}
"""Say nothing about which values are valid; nor do those that begin with `x-`."""
ONE = {"items", "additionalProperties"}
MANY = {"anyOf", "oneOf", "allOf", "prefixItems"}
NAMED = {"properties", "patternProperties", "$defs", "definitions"}
BOUNDS = {"minLength", "maxLength", "minItems", "maxItems"}
NUMBERS = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}
TEXTS = {"pattern", "format", "$ref"}
VALUES = {"const", "enum"}
NAMES = {"type", "required"}
KEYWORDS = ONE | MANY | NAMED | BOUNDS | NUMBERS | TEXTS | VALUES | NAMES
SANE = re.compile(r"[$A-Za-z][$\w-]{0,40}", re.ASCII)
"""A keyword that can be repeated in an error."""
FORMATS = {"date", "time", "date-time", "duration", "uuid", "email", "hostname", "ipv4", "ipv6", "uri"}
FREE_FORMATS = {
    *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float", "double", "decimal"),
    *("password", "binary", "path", "file-path", "directory-path"),
}
"""Say how a program keeps a value, not which values there are."""
TYPES: dict[type, str] = {list: "a list", dict: "an object", str: "a text"}


class SchemaError(Exception):
    """An answer cannot be held to this schema; one sentence that repeats at most keywords of JSON Schema."""


def checked(schema: Any) -> Any:
    """The schema without its annotations, `nullable` as a type. Raises `SchemaError` if it is outside the subset.

    It may still contradict itself.
    """
    return _checked(schema, 1)


def check_regex(regex: str) -> None:
    """Raises `SchemaError` for one that is too long, may grow too long when it is unrolled, or looks around."""
    if len(regex) > MAX_REGEX:
        raise SchemaError(f"A regular expression can have at most {MAX_REGEX} characters.")
    if LOOKAROUND.search(NO_GROUPS.sub("", regex)):
        raise SchemaError("A regular expression cannot look ahead or behind, as with '(?=', '(?!' and '(?<='.")
    counts = [int(count) for count in COUNT.findall(regex)]
    if math.prod(max(count, 1) for count in counts) > MAX_BOUND:
        raise SchemaError(f"The repetition counts of a regular expression, multiplied, can be at most {MAX_BOUND}.")


def _checked(schema: Any, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise SchemaError(f"A schema can be at most {MAX_DEPTH} levels deep.")
    if isinstance(schema, bool):
        return schema
    if not isinstance(schema, dict):
        raise SchemaError("Each schema must be an object, true or false.")
    made = {
        keyword: _checked_value(keyword, value, depth)
        for keyword, value in schema.items()
        if keyword != "nullable" and not _says_nothing(keyword, value, schema)
    }
    return _or_null(made) if _nullable(schema) else made


def _says_nothing(keyword: str, value: Any, schema: dict[str, Any]) -> bool:
    """Whether a keyword, with this value, excludes no value."""
    if keyword == "format" and isinstance(value, str):
        # a generator that writes a pattern beside a format of its own says the same with it
        return value in FREE_FORMATS or (value not in FORMATS and isinstance(schema.get("pattern"), str))
    nothing = value is None and keyword != "const"
    no = value is False and keyword in ("uniqueItems", "exclusiveMinimum", "exclusiveMaximum")
    return nothing or no or keyword in ANNOTATIONS or keyword.startswith("x-")


def _nullable(schema: dict[str, Any]) -> bool:
    """OpenAPI's older way to allow null."""
    value = schema.get("nullable")
    if not isinstance(value, bool | None):
        raise SchemaError("'nullable' must be true or false.")
    return bool(value)


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    # what others refer to stays in its place
    kept = {name: value for name, value in schema.items() if name in ("$defs", "definitions")}
    rest = {name: value for name, value in schema.items() if name not in kept}
    return {**kept, "anyOf": [rest, {"type": "null"}]}


def _checked_value(keyword: str, value: Any, depth: int) -> Any:
    if keyword not in KEYWORDS:
        raise SchemaError(f"{repr(keyword) if SANE.fullmatch(keyword) else 'One of its keywords'} is not supported.")
    if keyword == "pattern" and (equal := without_lookahead(_of_type(keyword, value, str))):
        return equal
    if keyword in ONE:
        return _checked(value, depth + 1)
    if keyword in MANY:
        return [_checked(one, depth + 1) for one in _of_type(keyword, value, list)]
    if keyword in NAMED:
        if keyword == "patternProperties":
            for regex in _of_type(keyword, value, dict):
                check_regex(regex)
        return {name: _checked(one, depth + 1) for name, one in _of_type(keyword, value, dict).items()}
    if keyword in VALUES:
        _check_depth(_of_type(keyword, value, list) if keyword == "enum" else value, 1)
    else:
        _check_plain(keyword, value)
    return value


def _check_plain(keyword: str, value: Any) -> None:
    """A keyword that holds a number, a text or some names."""
    if keyword in BOUNDS and not (type(value) is int and 0 <= value <= MAX_BOUND):
        raise SchemaError(f"'{keyword}' must be a whole number from 0 to {MAX_BOUND}.")
    if keyword in NUMBERS and not (type(value) in (int, float) and abs(value) <= MAX_NUMBER):
        raise SchemaError(f"'{keyword}' must be a number from -2^53 to 2^53.")
    if keyword in TEXTS:
        _of_type(keyword, value, str)
    if keyword in NAMES and not (keyword == "type" and isinstance(value, str)):
        for name in _of_type(keyword, value, list):
            _of_type(keyword, name, str)
    if keyword == "pattern":
        check_regex(value)
    if keyword == "format" and value not in FORMATS:
        raise SchemaError(f"'format' must be one of {', '.join(sorted(FORMATS))}.")
    if keyword == "$ref" and not value.startswith("#"):
        raise SchemaError("A '$ref' must point into the schema itself, as '#/$defs/name' does.")


def _check_depth(value: Any, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise SchemaError(f"A value can be at most {MAX_DEPTH} levels deep.")
    if type(value) in (int, float) and abs(value) > MAX_NUMBER:
        raise SchemaError("A number must be from -2^53 to 2^53.")
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for one in inner:
        _check_depth(one, depth + 1)


def _of_type(keyword: str, value: Any, wanted: type) -> Any:
    if not isinstance(value, wanted):
        raise SchemaError(f"'{keyword}' must hold {TYPES[wanted]}.")
    return value
