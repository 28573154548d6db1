"""Which schemas are taken: what would not be enforced is named, and nothing that is read costs much."""

from typing import Any

import jsonschema
import pytest
from edgevlm_server.guided.compiler import THOROUGH
from edgevlm_server.guided.grammar import GrammarError, one_of, that_matches, valid_json
from edgevlm_server.guided.json_schema import FORMATS, MAX_DEPTH, SchemaError, check_regex, checked
from edgevlm_server.guided.sandbox import tried

UNENFORCED = {
    *("not", "if", "then", "else", "dependentRequired", "dependentSchemas", "dependencies", "propertyNames"),
    *("contains", "minContains", "maxContains", "uniqueItems", "minProperties", "maxProperties"),
    *("unevaluatedItems", "unevaluatedProperties", "additionalItems", "contentEncoding", "contentMediaType"),
    *("contentSchema", "$dynamicRef", "$dynamicAnchor", "$vocabulary", "maxLenght", "divisible-by"),
}


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
        {"zq7secret\n": 1},
        {"zq7secret is longer than any keyword of any schema that was seen": 1},
        {"nullable": "yes"},
        {"nullable": 1},
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


@pytest.mark.parametrize(
    "annotation",
    [
        {"discriminator": {"propertyName": "kind"}},
        {"example": 5},
        {"examples": [5]},
        {"$id": "https://example.com/part"},
        {"id": "part"},
        {"$anchor": "part"},
        {"$comment": "from the drawing"},
        {"readOnly": True},
        {"writeOnly": False},
        {"propertyOrdering": ["a"]},
        {"strict": True},
        {"externalDocs": {"url": "https://example.com"}},
        {"xml": {"name": "part"}},
        {"x-order": 1},
        {"x-guidance": {"lenient": True}},
        {"nullable": False},
        {"uniqueItems": False},
        {"exclusiveMinimum": False},
        *({"format": name} for name in ("int32", "int64", "uint8", "float", "double", "password", "binary", "path")),
        {"pattern": None},
        {"format": None},
        {"enum": None},
        {"properties": None},
    ],
)
def test_what_excludes_no_value_is_left_out_at_every_depth(annotation: dict[str, Any]) -> None:
    plain = {"type": "object", "properties": {"part": {"anyOf": [{"type": "integer"}]}}}
    annotated = {**plain, "properties": {"part": {"anyOf": [{"type": "integer", **annotation}]}}}
    assert checked(annotated) == plain
    assert checked({**annotation, "type": "integer"}) == {"type": "integer"}


def test_names_of_properties_are_no_keywords() -> None:
    names = ("nullable", "x-order", "example", "format", "strict", "id")
    schema = {"type": "object", "properties": {name: {"type": "integer"} for name in names}}
    assert checked(schema) == schema


def test_nulls_that_are_values_are_kept() -> None:
    assert checked({"const": None}) == {"const": None}
    assert checked({"enum": ["a", None]}) == {"enum": ["a", None]}


def test_a_format_of_the_generators_own_is_left_to_its_pattern() -> None:
    assert checked({"type": "string", "format": "ulid", "pattern": "^a$"}) == {"type": "string", "pattern": "^a$"}
    with pytest.raises(SchemaError, match="'format' must be one of"):
        checked({"type": "string", "format": "ulid"})


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "nullable": True, "maxLength": 2},
        {"enum": ["a", "b"], "nullable": True},
        {"$ref": "#/$defs/a", "nullable": True, "$defs": {"a": {"type": "string"}}},
        {"allOf": [{"type": "string"}], "nullable": True},
    ],
)
def test_nullable_allows_null(schema: dict[str, Any]) -> None:
    made = checked(schema)
    assert jsonschema.Draft202012Validator(made).is_valid(None)
    assert jsonschema.Draft202012Validator(made).is_valid("a")
    assert not jsonschema.Draft202012Validator(made).is_valid(5)
    assert isinstance(tried(valid_json(schema), THOROUGH), int)


def test_annotations_are_left_out_however_deep_they_are() -> None:
    schema = {"title": nested(900), "default": nested(900), "properties": {"title": {"description": "d"}}}
    assert checked(schema) == {"properties": {"title": {}}}


def test_all_formats_compile_to_something() -> None:
    assert checked({"anyOf": [{"type": "string", "format": name} for name in FORMATS]})


def test_a_schema_has_a_size() -> None:
    with pytest.raises(GrammarError, match="32768"):
        valid_json({"enum": ["x" * 100] * 400})


@pytest.mark.parametrize("regex", ["^(?!a).*$", "a(?=b)", "(?<=a)b", "(?<!a)b", r"\\(?!a)"])
def test_expressions_that_look_around_are_refused_by_name(regex: str) -> None:
    with pytest.raises(SchemaError, match="cannot look ahead or behind"):
        check_regex(regex)


@pytest.mark.parametrize("regex", [r"\(?!a", "[(?!a)]+", r"[^\]]\(?=a", "(?:a|b)", "[(?=]"])
def test_characters_that_only_look_like_it_are_taken(regex: str) -> None:
    assert that_matches(regex)


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
