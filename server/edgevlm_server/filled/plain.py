"""Subschemas made plain: references followed, unions that can be asked as one value put together. Knows no questions.

What comes out may allow fewer values than the schema does, but never others.
"""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote

from edgevlm_server.filled.bounds import holds
from edgevlm_server.filled.labels import MOST_VALUES
from edgevlm_server.filled.tree import Unfillable
from edgevlm_server.guided.json_schema import ANNOTATIONS, FORMATS

Schema = dict[str, Any]

MOST_STEPS = 1024
"""Subschemas looked at in one schema: references can make a small one endless."""
MOST_KEYWORDS = 64
"""Of one of them: annotations are without number, and each reference copies them."""


class Plain(NamedTuple):
    """A schema with one `type`, or an `enum` without null: an empty one allows null alone.

    `refs` are the references that it stands behind.
    """

    schema: Schema
    nullable: bool
    refs: frozenset[str] = frozenset()

    @property
    def values(self) -> list[Any] | None:
        """All that there are but null, if they are counted."""
        found: list[Any] | None = self.schema.get("enum")
        return found


class Plainer:
    """Works on the parts of one schema; `root` is all of it."""

    def __init__(self, root: Schema) -> None:
        self._root = root
        self._steps = 0

    def plain(self, schema: Any, refs: frozenset[str] = frozenset()) -> Plain:
        """Raises `Unfillable`."""
        self._steps += 1
        if self._steps > MOST_STEPS:
            raise Unfillable("it is too large")
        if not isinstance(schema, dict):
            raise Unfillable("any value is allowed")
        if len(schema) > MOST_KEYWORDS:
            raise Unfillable("it is too large")
        said = {keyword: value for keyword, value in schema.items() if _says_something(keyword, value)}
        if said.pop("nullable", False):
            return self.plain(said, refs)._replace(nullable=True)
        if (ref := said.pop("$ref", None)) is not None:
            if ref in refs:
                raise Unfillable("it refers to itself")
            # the title of what several refer to is its own name
            target = {keyword: value for keyword, value in _target(self._root, ref).items() if keyword != "title"}
            return self.plain(_merged(target, said), refs | {ref})
        if (every := said.pop("allOf", None)) is not None:
            if len(every) != 1:
                raise Unfillable("several schemas hold at once ('allOf')")
            return self.plain(_merged(every[0], said), refs)
        for keyword in ("anyOf", "oneOf"):
            if (options := said.pop(keyword, None)) is not None:
                found = [self.plain(_merged(one, said), refs) for one in options]
                return _union(found, said, exclusive=keyword == "oneOf")
        return _basic(said, refs)


def _says_something(keyword: str, value: Any) -> bool:
    if keyword == "format":
        # one of the generator's own stands beside a pattern that says the same
        return value in FORMATS
    # an older draft's way to say that a bound is not exclusive
    no = value is False and keyword in ("exclusiveMinimum", "exclusiveMaximum")
    return keyword == "const" or (value is not None and not no)


def _target(root: Schema, ref: str) -> Schema:
    found: Any = root
    for step in ref.removeprefix("#").split("/")[1:]:
        name = unquote(step).replace("~1", "/").replace("~0", "~")
        if not isinstance(found, dict) or name not in found:
            raise Unfillable("a reference leads nowhere")
        found = found[name]
    if not isinstance(found, dict) or ref.removeprefix("#")[:1] not in ("", "/"):
        raise Unfillable("a reference leads nowhere")
    return found


def _merged(inner: Any, beside: Schema) -> Schema:
    """Both hold; where both describe, what stands beside describes this very place."""
    if not isinstance(inner, dict):
        raise Unfillable("any value is allowed")
    beside = {keyword: value for keyword, value in beside.items() if keyword not in ("$defs", "definitions")}
    for keyword in inner.keys() & beside.keys():
        if keyword not in ANNOTATIONS and not keyword.startswith("x-") and inner[keyword] != beside[keyword]:
            raise Unfillable(f"'{keyword}' is said twice of one value")
    return {**inner, **beside}


def _union(options: list[Plain], beside: Schema, *, exclusive: bool) -> Plain:
    nulls = sum(option.nullable for option in options)
    nullable = nulls == 1 if exclusive else nulls > 0
    kept = [option for option in options if option.values != []]
    if len(kept) < 2:
        [only] = kept or [Plain({"enum": []}, nullable)]
        return only._replace(nullable=nullable)
    listed = [value for option in kept for value in option.values or ()]
    if all(option.values is not None for option in kept):
        return _listed(listed, beside, nullable, exclusive=exclusive)
    # asked for as one of them, a value that is listed beside others would be left out, or written without a question
    if exclusive or any(
        option.values is not None or option.schema.get("type") in ("object", "array", None) for option in kept
    ):
        raise Unfillable("it is one of several things")
    return kept[0]._replace(nullable=nullable)


def _listed(values: list[Any], beside: Schema, nullable: bool, *, exclusive: bool) -> Plain:
    if len({json.dumps(value, sort_keys=True) for value in _few(values)}) < len(values) and exclusive:
        raise Unfillable("some of its values are allowed twice ('oneOf')")
    texts = {keyword: value for keyword, value in beside.items() if keyword in ("title", "description")}
    return Plain({**texts, "enum": values}, nullable)


def _few(values: list[Any]) -> list[Any]:
    """The same, looked at before work is done for each: references can bring a long list here many times."""
    if len(values) > MOST_VALUES + 1:  # null may be among them
        raise Unfillable(f"more than {MOST_VALUES} values to choose from")
    return values


def _basic(schema: Schema, refs: frozenset[str]) -> Plain:
    types = _types(schema)
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    if values is not None:
        rest = {keyword: value for keyword, value in schema.items() if keyword not in ("const", "enum")}
        if rest.keys() & {"pattern", "format"} or ("const" in schema and "enum" in schema):
            raise Unfillable("values are listed and described at once")
        fit = [value for value in _few(values) if (types is None or _is_one_of(value, types)) and holds(rest, value)]
        return Plain({**rest, "enum": [value for value in fit if value is not None]}, None in fit, refs)
    kinds = [name for name in types or () if name != "null"]
    if types is None and "properties" in schema:
        kinds = ["object"]
    elif not types:
        raise Unfillable("any value is allowed")
    nullable = "null" in (types or ())
    if not kinds:
        return Plain({"enum": []}, nullable, refs)
    if len(kinds) > 1 and {"object", "array"} & {*kinds}:
        raise Unfillable("it is one of several things")
    kind = "number" if "number" in kinds and kinds[0] == "integer" else kinds[0]
    return Plain({**schema, "type": kind}, nullable, refs)


def _types(schema: Mapping[str, Any]) -> list[str] | None:
    given = schema.get("type")
    return [given] if isinstance(given, str) else given


def _is_one_of(value: Any, types: list[str]) -> bool:
    return any(_is_a(value, name) for name in types)


def _is_a(value: Any, name: str) -> bool:
    if isinstance(value, bool) or value is None:
        return name == ("null" if value is None else "boolean")
    if isinstance(value, int | float):
        return name == "number" or (name == "integer" and value == int(value))
    return isinstance(value, {"string": str, "array": list, "object": dict}.get(name, ()))
