"""Schemas of objects as people and generators write them, for hypothesis, and what may come of their values."""

from typing import Any

from edgevlm_server.filled.bounds import holds
from edgevlm_server.filled.patterns import whole_text
from edgevlm_server.filled.text import Found
from edgevlm_server.filled.tree import Leaf
from hypothesis import strategies as st

Schema = dict[str, Any]

names = st.sampled_from(["count", "kind", "isOk", "oil_pressure", "défaut", 'a "b"', "x\\y", ""])
texts = st.sampled_from(["red", "green", "M6 x 30", 'ö"', "5"])
bounds = st.integers(-20, 20)


def _optionally(schema: Schema) -> st.SearchStrategy[Schema]:
    """The ways in which generators say that null will do as well."""
    kind = schema.get("type")
    ways = [schema, {"anyOf": [schema, {"type": "null"}]}, {**schema, "nullable": True}]
    if "enum" in schema:
        ways.append({**schema, "enum": [*schema["enum"], None], "type": [kind, "null"] if kind else None})
        ways.append({"oneOf": [*({"const": value} for value in schema["enum"]), {"type": "null"}]})
    elif kind is not None:
        ways.append({**schema, "type": [kind, "null"]})
    return st.sampled_from(ways)


numbers = st.builds(
    lambda kind, least, room, keys: {"type": kind, keys[0]: least, keys[1]: least + room},
    st.sampled_from(["number", "integer"]),
    bounds,
    st.integers(2, 9),
    st.sampled_from([("minimum", "maximum"), ("exclusiveMinimum", "exclusiveMaximum")]),
)
strings = st.sampled_from(
    [
        {"type": "string"},
        {"type": "string", "minLength": 2, "maxLength": 4, "title": "The Word"},
        {"type": "string", "pattern": "^[a-z]+$"},
        {"type": "string", "pattern": "[0-9]"},
        {"type": "string", "format": "date"},
    ]
)
choices = st.lists(texts, min_size=1, max_size=4, unique=True).map(lambda some: {"type": "string", "enum": some})
lists = st.builds(
    lambda items, most: {"type": "array", "items": items, "minItems": 1, "maxItems": most},
    choices | st.just({"type": "string"}),
    st.integers(1, 3),
)
plain = st.sampled_from([{"type": "boolean"}, {"const": 5}, {"enum": [1, 2.5]}, {"enum": [True, False]}])
scalars: st.SearchStrategy[Schema] = st.one_of(numbers, strings, choices, lists, plain).flatmap(_optionally)


def objects(inner: st.SearchStrategy[Schema]) -> st.SearchStrategy[Schema]:
    """Some keys needed, some not; now and then null will do for all of it."""

    def needing(members: dict[str, Schema], needed: set[str]) -> Schema:
        required = [name for name in members if name in needed]
        return {"type": "object", "properties": members, "required": required, "additionalProperties": False}

    def or_null(one: Schema) -> st.SearchStrategy[Schema]:
        return st.sampled_from([one, one, {"anyOf": [one, {"type": "null"}]}])

    return st.builds(needing, st.dictionaries(names, inner, min_size=1, max_size=4), st.sets(names)).flatmap(or_null)


nested = st.recursive(scalars, objects, max_leaves=6)
fillable: st.SearchStrategy[Schema] = objects(nested).filter(lambda schema: "properties" in schema)

REASONS = ("refused", "low_confidence", "out_of_range")


def outcomes(leaf: Leaf) -> st.SearchStrategy[Found]:
    """What a model may be found to have said, within the leaf's bounds."""
    kept = _values(leaf.schema).filter(lambda value: holds(leaf.schema, value))
    return st.sampled_from(REASONS).map(lambda reason: Found(None, reason)) | kept.map(Found)


def _values(schema: Any) -> st.SearchStrategy[Any]:
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if schema["type"] == "array":
        return st.lists(_values(schema["items"]), min_size=schema["minItems"], max_size=schema["maxItems"])
    if schema["type"] == "string":
        pattern = whole_text(schema)
        return st.from_regex(f"\\A(?:{pattern})\\Z") if pattern else st.text(min_size=2, max_size=4)
    if schema["type"] == "boolean":
        return st.booleans()
    least = schema.get("minimum", schema.get("exclusiveMinimum"))
    whole: st.SearchStrategy[Any] = st.integers(least, least + 10)
    return whole if schema["type"] == "integer" else whole | st.floats(least, least + 10)
