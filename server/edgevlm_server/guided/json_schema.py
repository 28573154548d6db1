"""Which JSON schemas an answer can be held to. Knows keywords and sizes; nothing of grammars and tokens.

A keyword that would not be enforced is refused by name: an answer that only seems checked is worse than an error.
"""

import math
import re
from typing import Any

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

ANNOTATIONS = {"$schema", "$comment", "title", "description", "default", "examples", "deprecated"}
"""Say nothing about which values are valid."""
ONE = {"items", "additionalProperties"}
MANY = {"anyOf", "oneOf", "allOf", "prefixItems"}
NAMED = {"properties", "patternProperties", "$defs", "definitions"}
BOUNDS = {"minLength", "maxLength", "minItems", "maxItems"}
NUMBERS = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}
TEXTS = {"pattern", "format", "$ref"}
VALUES = {"const", "enum"}
NAMES = {"type", "required"}
KEYWORDS = ANNOTATIONS | ONE | MANY | NAMED | BOUNDS | NUMBERS | TEXTS | VALUES | NAMES
UNENFORCED = {
    *("not", "if", "then", "else", "dependentRequired", "dependentSchemas", "dependencies", "propertyNames"),
    *("contains", "minContains", "maxContains", "uniqueItems", "minProperties", "maxProperties"),
    *("unevaluatedItems", "unevaluatedProperties", "additionalItems", "contentEncoding", "contentMediaType"),
    *("contentSchema", "$id", "$anchor", "$dynamicRef", "$dynamicAnchor", "$vocabulary", "readOnly", "writeOnly"),
}
"""The other keywords of JSON Schema, to name them when they are refused."""
FORMATS = {"date", "time", "date-time", "duration", "uuid", "email", "hostname", "ipv4", "ipv6", "uri"}
TYPES: dict[type, str] = {list: "a list", dict: "an object", str: "a text"}


class SchemaError(Exception):
    """An answer cannot be held to this schema; one sentence that repeats at most keywords of JSON Schema."""


def checked(schema: Any) -> Any:
    """The schema without its annotations. Raises `SchemaError` if it is outside the subset.

    It may still contradict itself.
    """
    return _checked(schema, 1)


def check_regex(regex: str) -> None:
    """Raises `SchemaError` for a regular expression that is too long, or may grow too long when it is unrolled."""
    if len(regex) > MAX_REGEX:
        raise SchemaError(f"A regular expression can have at most {MAX_REGEX} characters.")
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
    return {
        keyword: _checked_value(keyword, value, depth)
        for keyword, value in schema.items()
        if keyword not in ANNOTATIONS
    }


def _checked_value(keyword: str, value: Any, depth: int) -> Any:
    if keyword not in KEYWORDS:
        raise SchemaError(f"{repr(keyword) if keyword in UNENFORCED else 'One of its keywords'} is not supported.")
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
