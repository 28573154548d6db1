"""Questions with a fixed set of answers, in the shape of OpenAI's decisions. Knows fields and bounds alone."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from edgevlm_server.api.chat import Message, TextPart
from edgevlm_server.api.input_items import Input, messages_of
from edgevlm_server.api.strict_model import StrictModel, Text, tag

MAX_QUESTIONS = 32
MAX_CHOICES = 32
MAX_LEVELS = 10

Label = Annotated[str, StringConstraints(min_length=1, max_length=256)]
"""An answer as the model would write it."""


class QuestionText(StrictModel):
    type: Literal["input_text"]
    text: Text


def _shape(value: Any) -> str:
    return "~text" if isinstance(value, str) else "~list"


Instructions = Annotated[
    Annotated[Text, tag("text")] | Annotated[list[QuestionText], tag("list"), Field(min_length=1, max_length=8)],
    Discriminator(_shape),
]


class Question(StrictModel):
    """`instructions` come behind the input, word for word, and nothing is added but descriptions of answers."""

    name: Label | None = None
    instructions: Instructions

    @property
    def text(self) -> str:
        if isinstance(self.instructions, str):
            return self.instructions
        return "\n".join(part.text for part in self.instructions)


class Predicate(Question):
    """Whether it is true: yes or no."""

    type: Literal["predicate"]


class Option(StrictModel):
    """A value that is a text is the answer itself; true and false are yes and no."""

    value: Label | bool
    description: Text | None = None


def _all_different(options: list[Option]) -> list[Option]:
    # True == 1, but a text never equals a boolean
    if len({option.value for option in options}) < len(options):
        raise PydanticCustomError("choices", "Each choice must be different")
    return options


class Choice(Question):
    """Which one of them."""

    type: Literal["choice"]
    choices: Annotated[list[Option], Field(min_length=2, max_length=MAX_CHOICES), AfterValidator(_all_different)]


class Level(StrictModel):
    label: Label
    description: Text | None = None


def _labels_differ(levels: list[Level]) -> list[Level]:
    if len({level.label for level in levels}) < len(levels):
        raise PydanticCustomError("levels", "Each level must have another label")
    return levels


class Score(Question):
    """How much: levels from the lowest to the highest, which count as 0, 1, 2 and so on."""

    type: Literal["score"]
    levels: Annotated[list[Level], Field(min_length=2, max_length=MAX_LEVELS), AfterValidator(_labels_differ)]


def _question_type(value: Any) -> str | None:
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return f"~{kind}" if kind in ("predicate", "choice", "score") else None


AnyQuestion = Annotated[
    Annotated[Predicate, tag("predicate")] | Annotated[Choice, tag("choice")] | Annotated[Score, tag("score")],
    Discriminator(
        _question_type,
        custom_error_type="question_type",
        custom_error_message="A question must have the type 'predicate', 'choice' or 'score'",
    ),
]


class DecisionRequest(StrictModel):
    """The same input for every question; the last message must be the user's."""

    input: Input
    questions: Annotated[list[AnyQuestion], Field(min_length=1, max_length=MAX_QUESTIONS)]
    model: Text | None = None

    # who asks, for the client's own books: accepted, without effect
    safety_identifier: Text | None = None
    prompt_cache_key: Text | None = None

    def messages(self, question: str) -> list[Message]:
        """The input with a question behind it."""
        *before, last = messages_of(self.input)
        if last.role != "user":
            return [*before, last]  # which no template ends in, and that is said where it is rendered
        given = [TextPart(type="text", text=last.content)] if isinstance(last.content, str) else last.content
        parts = [part for part in given if not isinstance(part, TextPart) or part.text]
        # not checked again: a full message may hold one part more
        content = [*parts, TextPart.model_construct(type="text", text=question)]
        return [*before, last.model_copy(update={"content": content})]
