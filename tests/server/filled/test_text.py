"""Whatever is found, the text is whole JSON that the schema allows, or there is none; what is out stays as it is."""

import json
from typing import Any

import pytest
from edgevlm_server.filled.schema import tree_of
from edgevlm_server.filled.text import Found, Unwritable, written
from edgevlm_server.filled.tree import Leaf, Unfillable, leaves
from edgevlm_server.guided.json_schema import checked
from hypothesis import assume, given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker

from tests.server.filled.schemas import Schema, fillable, outcomes

NUMBER = {"type": "number"}
OR_NULL = {"type": ["number", "null"]}


def judge(schema: Schema) -> Draft202012Validator:
    """`nullable`, which JSON Schema does not know, is a type in what is checked."""
    return Draft202012Validator(checked(schema), format_checker=FormatChecker())


@pytest.mark.slow
@given(schema=fillable, data=st.data())
def test_the_text_is_valid_and_only_ever_grows(schema: Schema, data: st.DataObject) -> None:
    try:
        root = tree_of(schema)
    except Unfillable:
        assume(False)
    found: dict[Leaf, Found] = {}
    sent = ""
    try:
        for leaf in leaves(root):
            before = written(root, found)
            assert before.startswith(sent)
            sent = before
            found[leaf] = data.draw(outcomes(leaf))
        after = written(root, found)
    except Unwritable as refused:
        assert not sent, "a refusal comes before any text"
        assert refused.reason in {one.reason for one in found.values()}
        return
    assert after.startswith(sent)
    value = json.loads(after)
    assert judge(schema).is_valid(value), after
    assert list(value) == [key for key in schema["properties"] if key in value]


def text_of(schema: Schema, *outcomes: Found) -> str:
    root = tree_of(schema)
    return written(root, dict(zip(leaves(root), outcomes, strict=True)))


def reading(**properties: Any) -> Schema:
    return {"type": "object", "properties": properties, "required": [*properties]}


REFUSED = Found(None, "refused")
UNFINISHED = Found(None, "unfinished")
FIVE = Found(5)


def test_why_there_is_no_answer_is_said_by_what_had_to_be_there() -> None:
    with pytest.raises(Unwritable) as caught:
        text_of({**reading(a=NUMBER, b=NUMBER), "required": ["b"]}, UNFINISHED, REFUSED)
    assert caught.value.reason == "refused"


@pytest.mark.parametrize(
    ("schema", "outcomes", "text"),
    [
        (reading(a=NUMBER, b=NUMBER), [FIVE, Found(2.5)], '{"a": 5, "b": 2.5}'),
        (reading(a=OR_NULL), [REFUSED], '{"a": null}'),
        (reading(unit={"const": "bar"}, a=NUMBER), [FIVE], '{"unit": "bar", "a": 5}'),
        ({**reading(a=NUMBER, b=NUMBER), "required": ["a"]}, [FIVE, REFUSED], '{"a": 5}'),
        (reading(left=reading(a=NUMBER), b=NUMBER), [FIVE, FIVE], '{"left": {"a": 5}, "b": 5}'),
        (
            reading(left={"anyOf": [reading(a=NUMBER, c=NUMBER), {"type": "null"}]}, b=NUMBER),
            [FIVE, REFUSED, FIVE],
            '{"left": null, "b": 5}',
        ),
        ({**reading(left=reading(a=NUMBER), b=NUMBER), "required": ["b"]}, [REFUSED, FIVE], '{"b": 5}'),
        (reading(größe={"type": "string"}), [Found('5" x 3')], '{"größe": "5\\" x 3"}'),
    ],
)
def test_what_is_written(schema: Schema, outcomes: list[Found], text: str) -> None:
    assert text_of(schema, *outcomes) == text
    assert judge(schema).is_valid(json.loads(text))


@pytest.mark.parametrize(
    ("schema", "outcomes"),
    [
        (reading(a=NUMBER, b=NUMBER), [FIVE, REFUSED]),
        (reading(left=reading(a=NUMBER), b=NUMBER), [REFUSED, FIVE]),
        # nothing was read: an empty object would only look like an answer
        ({**reading(a=NUMBER, b=NUMBER), "required": []}, [REFUSED, REFUSED]),
        ({**reading(unit={"const": "bar"}, a=NUMBER), "required": ["unit"]}, [REFUSED]),
        # left out, it would be taken for 0
        ({**reading(a={**NUMBER, "default": 0}, b=NUMBER), "required": []}, [REFUSED, FIVE]),
    ],
)
def test_where_null_is_not_allowed_there_is_no_answer(schema: Schema, outcomes: list[Found]) -> None:
    with pytest.raises(Unwritable, match="refused"):
        text_of(schema, *outcomes)


def test_text_is_out_as_soon_as_nothing_can_refuse_the_whole() -> None:
    root = tree_of(reading(a=NUMBER, b=OR_NULL, c=OR_NULL))
    a, b, _ = leaves(root)
    assert written(root, {}) == ""
    assert written(root, {a: FIVE}) == '{"a": 5, "b": '
    assert written(root, {a: FIVE, b: REFUSED}) == '{"a": 5, "b": null, "c": '
