"""Fields that ask for guided output, an answer of a given form, in OpenAI's and vLLM's names. Knows no tokens."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from edgevlm_server.api.strict import StrictModel, Text, by_type, tag
from edgevlm_server.errors import InvalidRequest
from edgevlm_server.filled.schema import tree_of
from edgevlm_server.filled.tree import Unfillable
from edgevlm_server.guided.grammar import GrammarError, any_object, one_of, that_matches, valid_json
from edgevlm_server.guided.json_schema import MAX_REGEX
from edgevlm_server.request import MAX_TEXT, Fill, Structure

MAX_CHOICES = 256
MAX_CHOICE = 256
"""Characters of one of the answers to choose from."""
MAX_NESTING = 128
"""Of lists and objects in a schema; how deep schemas themselves may be is said where they are read."""


def _writable(value: Any, depth: int = 0) -> Any:
    """A schema comes back in some answers, annotations included: it must be valid text, and not too deep."""
    if depth > MAX_NESTING:
        raise PydanticCustomError("schema", "A schema can be nested at most {most} deep", {"most": MAX_NESTING})
    if isinstance(value, str) and len(value) > MAX_TEXT:
        raise PydanticCustomError(
            "schema", "A text in a schema can have at most {most} characters", {"most": MAX_TEXT}
        )
    if isinstance(value, str) and not value.isprintable():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise PydanticCustomError("schema", "Text must be valid Unicode") from None
    inner = (*value, *value.values()) if isinstance(value, dict) else value if isinstance(value, list) else ()
    for one in inner:
        _writable(one, depth + 1)
    return value


Schema = Annotated[dict[str, Any], AfterValidator(_writable)]
Regex = Annotated[str, StringConstraints(min_length=1, max_length=MAX_REGEX)]
ChoiceText = Annotated[str, StringConstraints(min_length=1, max_length=MAX_CHOICE)]
Choices = Annotated[list[ChoiceText], Field(min_length=1, max_length=MAX_CHOICES)]

ANSWER = tree_of({"type": "object", "properties": {"answer": {"type": ["string", "null"]}}, "required": ["answer"]})
"""What a model that writes no JSON is asked for where any object will do."""

FORMATS = by_type(
    {name: name for name in ("text", "json_object", "json_schema")},
    "It must have the type 'text', 'json_object' or 'json_schema'",
)


class AnyText(StrictModel):
    type: Literal["text"]


class AnyJson(StrictModel):
    """A JSON object, whatever is in it."""

    type: Literal["json_object"]


class JsonSchema(StrictModel):
    """`name` and `description` are the client's own; with `strict` or without, the schema is always followed.

    `fill` says how: `true` field by field, or the request is refused; `false` in one piece; else field by field where
    it can be.
    """

    name: Text
    description: Text | None = None
    # pydantic keeps the plain name for itself
    definition: Schema = Field(alias="schema")
    strict: bool | None = None
    fill: bool | None = None


class SchemaJson(StrictModel):
    """JSON that a schema allows, as the chat API writes it."""

    type: Literal["json_schema"]
    json_schema: JsonSchema


class FlatSchemaJson(JsonSchema):
    """The same, as the Responses API writes it."""

    type: Literal["json_schema"]


ResponseFormat = Annotated[
    Annotated[AnyText, tag("text")]
    | Annotated[AnyJson, tag("json_object")]
    | Annotated[SchemaJson, tag("json_schema")],
    FORMATS,
]

TextFormat = Annotated[
    Annotated[AnyText, tag("text")]
    | Annotated[AnyJson, tag("json_object")]
    | Annotated[FlatSchemaJson, tag("json_schema")],
    FORMATS,
]


class StructuredOutputs(StrictModel):
    """vLLM's own form of the same wishes; one of them."""

    definition: Schema | None = Field(None, alias="json")
    regex: Regex | None = None
    choice: Choices | None = None


class Wanted(NamedTuple):
    """A field that asks for a form, and how to make its grammar."""

    place: str
    make: Callable[[], str]
    risky: bool = True

    def structure(self) -> Structure:
        """Raises `InvalidRequest` for a form that cannot be followed."""
        try:
            return Structure(self.make(), self.place, self.risky)
        except GrammarError as error:
            raise InvalidRequest(f"{self.place}: {error}", code=error.code, param=self.place) from None


class GuidedFields(StrictModel):
    """At most one of these may ask for a form."""

    response_format: ResponseFormat | None = None
    structured_outputs: StructuredOutputs | None = None
    guided_json: Schema | None = None
    guided_regex: Regex | None = None
    guided_choice: Choices | None = None


def structure(fields: GuidedFields) -> Structure | None:
    """The form that is asked for. Raises `InvalidRequest` for one that cannot be followed, and for several."""
    wanted = [*_wanted(fields)]
    if len(wanted) > 1:
        raise InvalidRequest(
            f"'{wanted[1].place}' cannot be combined with '{wanted[0].place}': an answer can have only one format.",
            code="invalid_value",
            param=wanted[1].place,
        )
    return wanted[0].structure() if wanted else None


def wanted_format(given: AnyText | AnyJson | SchemaJson | FlatSchemaJson | None, place: str) -> Iterator[Wanted]:
    """What a response format at `place` asks for: nothing, or one form."""
    if isinstance(given, AnyJson):
        yield Wanted(place, any_object, risky=False)
    if isinstance(given, SchemaJson):
        yield Wanted(f"{place}.json_schema.schema", partial(valid_json, given.json_schema.definition))
    if isinstance(given, FlatSchemaJson):
        yield Wanted(f"{place}.schema", partial(valid_json, given.definition))


def filled(given: AnyText | AnyJson | SchemaJson | FlatSchemaJson | None, place: str) -> Fill | None:
    """How a response format at `place` is filled field by field, if it can be; it is one that can be followed.

    Raises `InvalidRequest` where it must be filled and cannot.
    """
    if isinstance(given, AnyJson):
        return Fill(ANSWER, place, always=False)
    asked = given.json_schema if isinstance(given, SchemaJson) else given
    place = f"{place}.json_schema" if isinstance(given, SchemaJson) else place
    if not isinstance(asked, JsonSchema) or asked.fill is False:
        return None
    try:
        demanded = f"{place}.fill" if asked.fill else None
        return Fill(tree_of(asked.definition), f"{place}.schema", always=True, demanded=demanded)
    except Unfillable as error:
        if asked.fill:
            message = f"{place}.fill: This schema cannot be filled field by field: {error}."
            raise InvalidRequest(message, code="unsupported_schema", param=f"{place}.fill") from None
        return None


def _wanted(fields: GuidedFields) -> Iterator[Wanted]:
    yield from wanted_format(fields.response_format, "response_format")
    if fields.structured_outputs is not None:
        outputs = fields.structured_outputs
        yield from _vllm("structured_outputs.", outputs.definition, outputs.regex, outputs.choice)
    yield from _vllm("guided_", fields.guided_json, fields.guided_regex, fields.guided_choice)


def _vllm(prefix: str, schema: Schema | None, regex: str | None, choice: list[str] | None) -> Iterator[Wanted]:
    if schema is not None:
        yield Wanted(f"{prefix}json", partial(valid_json, schema))
    if regex is not None:
        yield Wanted(f"{prefix}regex", partial(that_matches, regex))
    if choice is not None:
        yield Wanted(f"{prefix}choice", partial(one_of, choice), risky=False)
