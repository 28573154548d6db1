"""Fields that ask for an answer of a given form, in OpenAI's and vLLM's names. Knows no grammar and no tokens."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Discriminator, Field, StringConstraints

from edgevlm_server.api.strict_model import StrictModel, Text, tag
from edgevlm_server.errors import InvalidRequest
from edgevlm_server.guided.grammar import GrammarError, any_object, one_of, that_matches, valid_json
from edgevlm_server.guided.json_schema import MAX_REGEX
from edgevlm_server.request import Structure

MAX_CHOICES = 256
MAX_CHOICE = 256
"""Characters of one of the answers to choose from."""

Schema = dict[str, Any]
Regex = Annotated[str, StringConstraints(min_length=1, max_length=MAX_REGEX)]
ChoiceText = Annotated[str, StringConstraints(min_length=1, max_length=MAX_CHOICE)]
Choices = Annotated[list[ChoiceText], Field(min_length=1, max_length=MAX_CHOICES)]


class AnyText(StrictModel):
    type: Literal["text"]


class AnyJson(StrictModel):
    """A JSON object, whatever is in it."""

    type: Literal["json_object"]


class JsonSchema(StrictModel):
    """`name` and `description` are the client's own; with `strict` or without, the schema is always followed."""

    name: Text
    description: Text | None = None
    # pydantic keeps the plain name for itself
    definition: Schema = Field(alias="schema")
    strict: bool | None = None


class SchemaJson(StrictModel):
    """JSON that a schema allows."""

    type: Literal["json_schema"]
    json_schema: JsonSchema


def _format_type(value: Any) -> str | None:
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return f"~{kind}" if kind in ("text", "json_object", "json_schema") else None


ResponseFormat = Annotated[
    Annotated[AnyText, tag("text")]
    | Annotated[AnyJson, tag("json_object")]
    | Annotated[SchemaJson, tag("json_schema")],
    Discriminator(
        _format_type,
        custom_error_type="response_format",
        custom_error_message="It must have the type 'text', 'json_object' or 'json_schema'",
    ),
]


class StructuredOutputs(StrictModel):
    """vLLM's own form of the same wishes; one of them."""

    definition: Schema | None = Field(None, alias="json")
    regex: Regex | None = None
    choice: Choices | None = None


class Wish(NamedTuple):
    """A field that asks for a form, and how to make its grammar."""

    place: str
    make: Callable[[], str]
    risky: bool = True


class StructureFields(StrictModel):
    """At most one of these may ask for a form."""

    response_format: ResponseFormat | None = None
    structured_outputs: StructuredOutputs | None = None
    guided_json: Schema | None = None
    guided_regex: Regex | None = None
    guided_choice: Choices | None = None

    def structure(self) -> Structure | None:
        """The form that is asked for. Raises `InvalidRequest` for one that cannot be followed, and for several."""
        wishes = [*self._wishes()]
        if not wishes:
            return None
        place, make, risky = wishes[0]
        if len(wishes) > 1:
            raise InvalidRequest(
                f"'{wishes[1].place}' cannot be combined with '{place}': an answer has one form.",
                code="invalid_value",
                param=wishes[1].place,
            )
        try:
            return Structure(make(), place, risky)
        except GrammarError as error:
            raise InvalidRequest(f"{place}: {error}", code=error.code, param=place) from None

    def _wishes(self) -> Iterator[Wish]:
        if isinstance(self.response_format, AnyJson):
            yield Wish("response_format", any_object, risky=False)
        if isinstance(self.response_format, SchemaJson):
            schema = self.response_format.json_schema.definition
            yield Wish("response_format.json_schema.schema", partial(valid_json, schema))
        if self.structured_outputs is not None:
            outputs = self.structured_outputs
            yield from _vllm("structured_outputs.", outputs.definition, outputs.regex, outputs.choice)
        yield from _vllm("guided_", self.guided_json, self.guided_regex, self.guided_choice)


def _vllm(prefix: str, schema: Schema | None, regex: str | None, choice: list[str] | None) -> Iterator[Wish]:
    if schema is not None:
        yield Wish(f"{prefix}json", partial(valid_json, schema))
    if regex is not None:
        yield Wish(f"{prefix}regex", partial(that_matches, regex))
    if choice is not None:
        yield Wish(f"{prefix}choice", partial(one_of, choice), risky=False)
