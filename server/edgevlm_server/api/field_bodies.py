"""Fields of pictures as requests and station files write them. Knows their names and bounds, no HTTP and no model."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from edgevlm_server.api.fields import MinConfidence
from edgevlm_server.api.guided import Regex
from edgevlm_server.api.region import RegionFields
from edgevlm_server.api.strict import StrictModel, by_type, tag
from edgevlm_server.readings import field, kinds

MOST_FIELDS = 32
MAX_CHOICES = 64
MAX_ITEMS = 16
MAX_LENGTH = 256
"""Characters of a text that is read."""

Name = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^\S(?:[^\x00-\x1f\x7f]*\S)?$")]
QuestionText = Annotated[str, StringConstraints(min_length=1, max_length=1024, pattern=r"\S")]
Unit = Annotated[str, StringConstraints(min_length=1, max_length=16, pattern=r"^[^\s\d.+-](?:[^\x00-\x1f\x7f]*\S)?$")]
"""As a device writes it; a digit, point or sign in front would be taken for the number's."""
ChoiceText = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^\S(?:[^\x00-\x1f\x7f]*\S)?$")]
Bound = Annotated[float, Field(ge=-(2**53), le=2**53)]


def _all_different(choices: list[str]) -> list[str]:
    if len({*choices}) < len(choices):
        raise PydanticCustomError("choices", "Each choice must be different")
    return choices


Choices = Annotated[list[ChoiceText], Field(min_length=1, max_length=MAX_CHOICES), AfterValidator(_all_different)]


class FieldBody(RegionFields, StrictModel):
    """`question` is asked as it is. Below `min_confidence` there is no value, but the reason `low_confidence`.

    A part of its own is one of the picture as it was sent, whatever part the others are about.
    """

    name: Name
    question: QuestionText
    min_confidence: MinConfidence | None = None

    def kind(self) -> field.Kind:
        """What values it has."""
        raise NotImplementedError

    def field(self) -> field.Field:
        """In the server's terms."""
        return field.Field(
            name=self.name,
            question=self.question,
            kind=self.kind(),
            min_confidence=self.min_confidence,
            region=self.own_region,
        )


class NumberBounds(FieldBody):
    """`unit` may stand behind the number in the answer; what lies beyond the bounds has the reason `out_of_range`."""

    unit: Unit | None = None
    minimum: Bound | None = None
    maximum: Bound | None = None

    @model_validator(mode="after")
    def _bounds_fit(self) -> "NumberBounds":
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise PydanticCustomError("bounds", "'minimum' cannot be more than 'maximum'")
        return self


class NumberField(NumberBounds):
    """`decimals`: digits behind the point, at most."""

    type: Literal["number"]
    decimals: Annotated[int, Field(ge=0, le=kinds.MOST_DECIMALS)] | None = None

    def kind(self) -> field.Kind:
        decimals = kinds.DECIMALS if self.decimals is None else self.decimals
        return kinds.Number(unit=self.unit, minimum=self.minimum, maximum=self.maximum, decimals=decimals)


class IntegerField(NumberBounds):
    type: Literal["integer"]

    def kind(self) -> field.Kind:
        return kinds.Number(unit=self.unit, minimum=self.minimum, maximum=self.maximum, decimals=0)


class TextField(FieldBody):
    """One line, or what `pattern`, a regular expression, matches as a whole."""

    type: Literal["text"]
    pattern: Regex | None = None
    max_length: Annotated[int, Field(ge=1, le=MAX_LENGTH)] = kinds.MAX_LENGTH

    def kind(self) -> field.Kind:
        return kinds.Text(pattern=self.pattern, max_length=self.max_length)


class ChoiceField(FieldBody):
    """One of `choices`, as the model would write it; its first letter may be of the other case."""

    type: Literal["choice"]
    choices: Choices

    def kind(self) -> field.Kind:
        return kinds.Choice.of(self.choices)


class BooleanField(FieldBody):
    """Yes is true, no is false."""

    type: Literal["boolean"]

    def kind(self) -> field.Kind:
        return kinds.boolean()


class ListField(FieldBody):
    """Some of `choices`, or texts without commas; `none` is an empty list."""

    type: Literal["list"]
    choices: Choices | None = None
    max_items: Annotated[int, Field(ge=1, le=MAX_ITEMS)] = kinds.MOST_ITEMS
    max_length: Annotated[int, Field(ge=1, le=MAX_LENGTH)] = kinds.MAX_LENGTH

    def kind(self) -> field.Kind:
        choices = None if self.choices is None else tuple(self.choices)
        return kinds.ListOf(choices=choices, max_items=self.max_items, max_length=self.max_length)


TYPES = ("number", "integer", "text", "choice", "boolean", "list")

AnyField = Annotated[
    Annotated[NumberField, tag("number")]
    | Annotated[IntegerField, tag("integer")]
    | Annotated[TextField, tag("text")]
    | Annotated[ChoiceField, tag("choice")]
    | Annotated[BooleanField, tag("boolean")]
    | Annotated[ListField, tag("list")],
    by_type(
        {name: name for name in TYPES},
        "A field must have the type 'number', 'integer', 'text', 'choice', 'boolean' or 'list'",
    ),
]


def _names_differ(fields: list[Any]) -> list[Any]:
    if len({one.name for one in fields}) < len(fields):
        raise PydanticCustomError("fields", "Each field must have a name of its own")
    return fields


Fields = Annotated[list[AnyField], Field(min_length=1, max_length=MOST_FIELDS), AfterValidator(_names_differ)]
