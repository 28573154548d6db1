"""Leaves become fields to be read, and readings become leaves' values. Knows schemas of single values, no prompts."""

from typing import Any

from edgevlm_server.filled.bounds import holds
from edgevlm_server.filled.labels import labels
from edgevlm_server.filled.patterns import whole_text
from edgevlm_server.filled.text import Found
from edgevlm_server.filled.tree import Leaf
from edgevlm_server.readings.field import Field, Kind, Reading
from edgevlm_server.readings.kinds import MOST_DECIMALS, MOST_ITEMS, Choice, ListOf, Number, Text, boolean

USUAL_TEXT = 256
MOST_TEXT = 1024
"""Characters of a text whose schema allows more, or does not say."""


def field(leaf: Leaf, question: str, min_confidence: float | None) -> Field:
    """What is read for it."""
    return Field(name=".".join(leaf.path), question=question, kind=kind_of(leaf), min_confidence=min_confidence)


def found(leaf: Leaf, reading: Reading) -> Found:
    """Its value, if it is one that the schema allows."""
    if reading.reason is not None:
        return Found(None, reading.reason)
    value = reading.value
    if leaf.schema.get("type") == "array":
        value = _items(leaf, value)
    return Found(value) if _allows(leaf.schema, value) else Found(None, "out_of_range")


def kind_of(leaf: Leaf) -> Kind:
    """In which form its value is asked for."""
    schema, values = leaf.schema, leaf.schema.get("enum")
    if leaf.is_boolean:
        return boolean()
    if values is not None:
        return Choice(labels(values))
    if schema["type"] == "array":
        return _list_of(leaf)
    if schema["type"] == "string":
        longest = min(schema.get("maxLength", USUAL_TEXT), MOST_TEXT)
        return Text(pattern=whole_text(schema), max_length=max(longest, 1))
    decimals = 0 if schema["type"] == "integer" else MOST_DECIMALS
    return Number(minimum=schema.get("minimum"), maximum=schema.get("maximum"), decimals=decimals)


def _list_of(leaf: Leaf) -> ListOf:
    item, most = leaf.schema["items"], max(leaf.schema.get("maxItems", MOST_ITEMS), 1)
    if "enum" in item:
        return ListOf(choices=tuple(labels(item["enum"])), max_items=min(most, len(item["enum"])))
    longest = min(item.get("maxLength", USUAL_TEXT), USUAL_TEXT)
    return ListOf(max_items=min(most, MOST_ITEMS), max_length=max(longest, 1))


def _items(leaf: Leaf, read: list[str]) -> list[Any]:
    known = leaf.schema["items"].get("enum")
    return read if known is None else [labels(known)[one] for one in read]


def _allows(schema: Any, value: Any) -> bool:
    if not holds(schema, value):
        return False
    if isinstance(value, list):
        return all(holds(schema["items"], one) for one in value)
    # of true and false alone there may be one
    return not isinstance(value, bool) or value in schema.get("enum", (True, False))
