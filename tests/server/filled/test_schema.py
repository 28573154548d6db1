"""What a schema asks for: which can be filled, which cannot and why, and with which words each value is asked for."""

from typing import Any, Literal

import pytest
from edgevlm_server.errors import InvalidRequest
from edgevlm_server.filled.asks import Reader, asks, fill_of
from edgevlm_server.filled.bounds import holds
from edgevlm_server.filled.questions import questions, words
from edgevlm_server.filled.schema import MOST_LEAVES, tree_of
from edgevlm_server.filled.tree import Unfillable, leaves
from edgevlm_server.readings.field import Refusal
from edgevlm_server.request import Fill, Generation, Picture, Request, Turn
from pydantic import BaseModel, Field

from tests.server.filled.test_text import reading

Body = dict[str, Any]
NUMBER = {"type": "number"}
READER = Reader(Refusal("No.", "Say no."), writes_json=False)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ({"type": "array", "items": reading(a=NUMBER)}, "a list of anything but"),
        ({"type": "array", "prefixItems": [NUMBER]}, "any value is allowed"),
        ({"anyOf": [reading(a=NUMBER), reading(b=NUMBER)]}, "one of several things"),
        ({"anyOf": [{"type": "string", "const": "unreadable"}, NUMBER]}, "one of several things"),
        ({"anyOf": [NUMBER, {"enum": ["low", "high"]}, {"type": "null"}]}, "one of several things"),
        ({"type": "object"}, "not all keys"),
        ({"type": "object", "additionalProperties": NUMBER}, "not all keys"),
        ({"type": "object", "additionalProperties": False}, "there is nothing to ask"),
        ({"type": "object", "patternProperties": {"^a": NUMBER}}, "not all keys"),
        ({"type": "object", "required": ["a"]}, "not all keys"),
        ({}, "any value is allowed"),
        (True, "any value is allowed"),
        ({"$ref": "#"}, "it refers to itself"),
        ({"$ref": "#/$defs/none"}, "leads nowhere"),
        ({"allOf": [NUMBER, {"minimum": 3}]}, "several schemas"),
        ({"type": "string", "format": "ipv6"}, "a text of the format"),
        ({"type": "string", "pattern": "a|^b"}, "anchors within"),
        ({"enum": ["5", 5]}, "look alike"),
        ({"enum": [[1], [2]]}, "neither texts nor numbers"),
        ({"enum": ["", "a"]}, "no answer looks like"),
        ({"type": "string", "enum": [5]}, "no value is allowed"),
        ({"enum": [f"{n:040}" for n in range(256)]}, "at most 8192"),
        ({"type": "string", "pattern": "a" * 500}, "at most 512"),
    ],
)
def test_what_cannot_be_filled_says_why(value: Any, why: str) -> None:
    with pytest.raises(Unfillable, match=why):
        tree_of(reading(a=value))


@pytest.mark.parametrize("schema", [{"type": "array", "items": {"enum": ["a", "b"]}}, {"enum": ["a", "b"]}])
def test_what_is_no_object_is_left_to_the_model(schema: Body) -> None:
    with pytest.raises(Unfillable, match="no object"):
        tree_of(schema)


def test_there_is_an_end_to_it() -> None:
    assert tree_of(reading(**{f"v{n}": NUMBER for n in range(MOST_LEAVES)}))
    with pytest.raises(Unfillable, match=f"more than {MOST_LEAVES}"):
        tree_of(reading(**{f"v{n}": NUMBER for n in range(MOST_LEAVES + 1)}))
    # each level names the next one twice
    levels = {f"l{n}": reading(a={"$ref": f"#/$defs/l{n + 1}"}, b={"$ref": f"#/$defs/l{n + 1}"}) for n in range(30)}
    with pytest.raises(Unfillable, match="too large"):
        tree_of({**reading(a={"$ref": "#/$defs/l0"}), "$defs": {**levels, "l30": NUMBER}})


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        # each reference would compare all of them again
        (
            reading(a={"anyOf": [{"$ref": "#/$defs/e"}] * 200})
            | {"$defs": {"e": {"oneOf": [{"enum": [*range(2000)]}, {"enum": [*range(2000, 4000)]}]}}},
            "more than 256 values",
        ),
        (reading(a={**NUMBER, **{f"x-{n}": n for n in range(1000)}}), "too large"),
        (
            reading(a={"$ref": "#/$defs/r0"})
            | {"$defs": {**{f"r{n}": {"$ref": f"#/$defs/r{n + 1}"} for n in range(1000)}, "r1000": NUMBER}},
            "too (deep|large)",
        ),
    ],
    ids=["values", "annotations", "references"],
)
def test_what_would_take_long_is_left_to_the_model(schema: Body, why: str) -> None:
    with pytest.raises(Unfillable, match=why):
        tree_of(schema)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ({"anyOf": [NUMBER, {"type": "string"}]}, "number"),
        ({"anyOf": [{"type": "string"}, NUMBER]}, "string"),
        ({"type": ["integer", "string"]}, "integer"),
        ({"type": ["string", "integer", "null"]}, "string"),
    ],
)
def test_of_several_kinds_of_single_values_the_first_is_asked_for(value: Body, kind: str) -> None:
    [leaf] = leaves(tree_of(reading(a=value)))
    assert leaf.schema["type"] == kind


def test_a_bound_that_is_not_exclusive_in_an_older_way_excludes_nothing() -> None:
    schema = reading(a={**NUMBER, "minimum": -5, "exclusiveMinimum": False, "exclusiveMaximum": False})
    [leaf] = leaves(tree_of(schema))
    assert holds(leaf.schema, 0) and holds(leaf.schema, -5) and not holds(leaf.schema, -6)


@pytest.mark.parametrize(
    ("value", "step", "fits"),
    [(0.3, 0.1, True), (0.35, 0.1, False), (5, 1e-300, True), (1e300, 0.7, False), (-4, 2, True), (5, 0, False)],
)
def test_multiples_are_those_of_the_numbers_as_written(value: float, step: float, fits: bool) -> None:
    assert holds({**NUMBER, "multipleOf": step}, value) == fits


def asked(schema: Body) -> list[str | None]:
    return [*questions([*leaves(tree_of(schema))]).values()]


def test_names_become_words() -> None:
    assert words("oilPressure_bar") == "oil pressure bar"
    assert words("HTTPStatus-OK") == "HTTP status OK"


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"a": NUMBER}, [None]),
        ({"value": {**NUMBER, "title": "Value"}}, [None]),
        ({"a": {**NUMBER, "title": "Volts", "description": "How many volts?"}}, ["How many volts?"]),
        ({"a": {**NUMBER, "title": "How many volts?"}}, ["How many volts?"]),
        (
            {"oilPressure": NUMBER, "is_open": {"type": "boolean"}},
            ["What is the oil pressure?", "Yes or no: is open?"],
        ),
        (
            {"left": reading(value=NUMBER), "parts": {"type": "array", "items": {"type": "string"}}},
            ["What is the left value?", "What are the parts?"],
        ),
        (
            {side: reading(v={**NUMBER, "description": "How much?"}) for side in ("left", "right")},
            ["left v: How much?", "right v: How much?"],
        ),
    ],
)
def test_what_is_asked(properties: Body, expected: list[str | None]) -> None:
    assert asked(reading(**properties)) == expected


def test_pydantic_models_are_asked_by_their_descriptions() -> None:
    class Gauge(BaseModel):
        """A round thing."""

        value: float = Field(description="What does the gauge read?", ge=0)

    class Panel(BaseModel):
        gauge: Gauge | None
        lamp: Literal["red", "green"] | None = Field(None, description="Which lamp is on?")

    assert asked(Panel.model_json_schema()) == ["What does the gauge read?", "Which lamp is on?"]


PICTURE = Picture(b"x")


def texts(schema: Body, *parts: str | Picture, reader: Reader = READER) -> list[tuple[str | Picture, ...]]:
    fill = Fill(tree_of(schema), "place", always=True)
    turns = (Turn("system", ("Be brief.",)), Turn("user", parts))
    given = asks(Request(place="messages", turns=turns), fill, reader, None)
    assert all(one.turns[0] == turns[0] for one in given)
    return [one.turns[-1].parts for one in given]


def test_the_users_text_gives_way_or_stays_in_front() -> None:
    two = reading(a=NUMBER, b=NUMBER)
    writer = Reader(READER.refusal, writes_json=True)
    a, b = "What is the a?", "What is the b?"
    assert texts(two, PICTURE, "Read it.") == [(PICTURE, a, "Say no."), (PICTURE, b, "Say no.")]
    assert texts(two, PICTURE, "Read it.", reader=writer) == [
        (PICTURE, "Read it.", a, "Say no."),
        (PICTURE, "Read it.", b, "Say no."),
    ]
    assert texts(reading(a=NUMBER), "How much?", PICTURE) == [("How much?", PICTURE, "Say no.")]
    assert texts(reading(a=NUMBER), PICTURE) == [(PICTURE, a, "Say no.")]


@pytest.mark.parametrize(
    ("parts", "always", "writes_json", "is_filled"),
    [
        ((PICTURE, "a"), True, True, True),
        (("a",), True, True, False),
        ((PICTURE, "a"), False, True, False),
        (("a",), False, False, True),
    ],
)
def test_when_it_is_filled(parts: Any, always: bool, writes_json: bool, is_filled: bool) -> None:
    fill = Fill(tree_of(reading(a=NUMBER)), "place", always)
    request = Request(place="messages", turns=(Turn("user", parts),), generation=Generation(fill=fill))
    assert (fill_of(request, fill, writes_json=writes_json) is fill) == is_filled


@pytest.mark.parametrize("always", [True, False])
def test_a_prompt_without_a_template_has_no_place_for_questions(always: bool) -> None:
    fill = Fill(tree_of(reading(a=NUMBER)), "place", always)
    request = Request(place="prompt", prompt="Once upon", generation=Generation(fill=fill))
    assert fill_of(request, fill, writes_json=False) is None


def test_what_must_be_filled_is_refused_without_a_picture() -> None:
    fill = Fill(tree_of(reading(a=NUMBER)), "place.schema", always=True, demanded="place.fill")
    request = Request(place="messages", turns=(Turn("user", ("a",)),), generation=Generation(fill=fill))
    with pytest.raises(InvalidRequest, match="about a picture") as refused:
        fill_of(request, fill, writes_json=True)
    assert refused.value.param == "place.fill"
