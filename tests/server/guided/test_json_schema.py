"""Which schemas are taken: what would not be enforced is named, and nothing that is read costs much."""

from typing import Any

import pytest
from edgevlm_server.guided.grammar import GrammarError, one_of, that_matches, valid_json
from edgevlm_server.guided.json_schema import FORMATS, MAX_DEPTH, UNENFORCED, SchemaError, check_regex, checked


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "integer"}
    for _ in range(levels):
        schema = {"type": "array", "items": schema}
    return schema


@pytest.mark.parametrize("keyword", sorted(UNENFORCED))
def test_keywords_that_would_not_be_enforced_are_named(keyword: str) -> None:
    with pytest.raises(SchemaError, match=re_quoted(keyword)):
        checked({"properties": {"part": {"anyOf": [{keyword: 1}]}}})


def re_quoted(keyword: str) -> str:
    return "^'" + keyword.replace("$", "\\$") + "' is not supported.$"


@pytest.mark.parametrize(
    "schema",
    [
        [],
        "text",
        {"properties": []},
        {"items": [{"type": "integer"}]},
        {"anyOf": {}},
        {"enum": 5},
        {"type": 5},
        {"type": [["integer"]]},
        {"required": "a"},
        {"required": [5]},
        {"maxLength": -1},
        {"maxLength": 4097},
        {"maxItems": 2.0},
        {"minimum": True},
        {"exclusiveMinimum": True},
        {"maximum": 1e300},
        {"const": 10**30},
        {"enum": [[10**30]]},
        {"format": "regex"},
        {"pattern": 5},
        {"pattern": "a" * 513},
        {"patternProperties": {"a{65}{64}": True}},
        {"$ref": "https://example.com/schema"},
        {"x-guidance": {"lenient": True}},
        {"zq7secret": 1},
        {"additionalProperties": "no"},
    ],
)
def test_what_is_no_schema_is_refused(schema: Any) -> None:
    with pytest.raises(SchemaError) as caught:
        checked(schema)
    assert "zq7secret" not in str(caught.value)


@pytest.mark.parametrize("levels", [MAX_DEPTH, 900])
def test_too_deep_is_refused(levels: int) -> None:
    assert checked(nested(MAX_DEPTH - 1))
    with pytest.raises(SchemaError, match="levels"):
        checked(nested(levels))
    with pytest.raises(SchemaError, match="levels"):
        checked({"const": nested(levels)})


def test_annotations_are_left_out_however_deep_they_are() -> None:
    schema = {"title": nested(900), "default": nested(900), "properties": {"title": {"description": "d"}}}
    assert checked(schema) == {"properties": {"title": {}}}


def test_all_formats_compile_to_something() -> None:
    assert checked({"anyOf": [{"type": "string", "format": name} for name in FORMATS]})


def test_a_schema_has_a_size() -> None:
    with pytest.raises(GrammarError, match="32768"):
        valid_json({"enum": ["x" * 100] * 400})


@pytest.mark.parametrize("regex", ["(a{64}){65}", "a{4097}", "((a{17}){17}){17}", "(a{2,}){4000,}", "a" * 513])
def test_expressions_that_grow_are_refused(regex: str) -> None:
    with pytest.raises(SchemaError):
        check_regex(regex)
    with pytest.raises(GrammarError):
        that_matches(regex)


@pytest.mark.parametrize("regex", ["[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}", "a{0}{4096}", "x*"])
def test_ordinary_expressions_are_taken(regex: str) -> None:
    assert that_matches(regex)


def test_choices_are_bounded_together_and_begin_with_a_character() -> None:
    with pytest.raises(GrammarError, match="8192"):
        one_of(["x" * 128] * 65)
    with pytest.raises(GrammarError, match="white space"):
        one_of(["yes", " no"])
