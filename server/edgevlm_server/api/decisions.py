"""Questions with a fixed set of answers, and how likely each is, in the shape of OpenAI's decisions. Knows no HTTP.

A probability is that of one answer against the others that were given: they add up to 1. How much of what the model
would say these answers cover together is `label_mass`; near 0, the model would rather say something else. Confidence
is how likely the model, left alone, would be to give the likeliest answer, at the temperature of confidence; at 1 it
is what both make of it.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, Discriminator, Field, StringConstraints, Tag
from pydantic_core import PydanticCustomError

from edgevlm_server.api.input_items import Input, conversation
from edgevlm_server.api.responses import usage_body
from edgevlm_server.api.strict import PromptText, StrictModel, Text, by_type, tag, text_or_list
from edgevlm_server.api.unsupported import ClientFields
from edgevlm_server.request import Request
from edgevlm_server.runtime.output import Usage
from edgevlm_server.runtime.scoring import Likelihood

MAX_QUESTIONS = 32
MAX_CHOICES = 32
MAX_LEVELS = 10

YES = ("yes", "Yes")
NO = ("no", "No")

Label = Annotated[str, StringConstraints(min_length=1, max_length=256)]
"""An answer as the model would write it."""


class QuestionText(StrictModel):
    type: Literal["input_text"]
    text: PromptText


Instructions = Annotated[
    Annotated[PromptText, tag("text")]
    | Annotated[list[QuestionText], tag("list"), Field(min_length=1, max_length=8)],
    text_or_list("Instructions must be a text or a list of parts of the type 'input_text'"),
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

    value: Annotated[
        Annotated[Label, Tag("~text")] | Annotated[bool, Tag("~flag")],
        Discriminator(lambda value: "~flag" if isinstance(value, bool) else "~text"),
    ]
    description: Text | None = None


def _all_different(options: list[Option]) -> list[Option]:
    # `true` beside "yes" would be one answer, counted twice
    spellings = [spelling for option in options for spelling in _spellings(option.value)]
    if len({*spellings}) < len(spellings):
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
        raise PydanticCustomError("levels", "Each level must have a different label")
    return levels


class Score(Question):
    """How much: levels from the lowest to the highest, which count as 0, 1, 2 and so on."""

    type: Literal["score"]
    levels: Annotated[list[Level], Field(min_length=2, max_length=MAX_LEVELS), AfterValidator(_labels_differ)]


AnyQuestion = Annotated[
    Annotated[Predicate, tag("predicate")] | Annotated[Choice, tag("choice")] | Annotated[Score, tag("score")],
    by_type(
        {name: name for name in ("predicate", "choice", "score")},
        "A question must have the type 'predicate', 'choice' or 'score'",
    ),
]


class DecisionRequest(ClientFields):
    """The same input for every question; the last message must be the user's."""

    input: Input
    questions: Annotated[list[AnyQuestion], Field(min_length=1, max_length=MAX_QUESTIONS)]
    model: Text | None = None

    def request(self, question: str) -> Request:
        """The input with a question behind it."""
        *before, last = conversation(self.input)
        if last.role == "user":  # no template ends in another turn, and that is said where it is rendered
            last = replace(last, parts=(*(part for part in last.parts if part), question))
        return Request(place="input", model=self.model, turns=(*before, last))


class ToScore(NamedTuple):
    """A question's text, and for each answer the ways to write it; their probabilities are added up."""

    text: str
    answers: list[tuple[str, ...]]


def to_score(question: AnyQuestion) -> ToScore:
    """What to ask, and which answers to weigh, in the question's order."""
    if isinstance(question, Predicate):
        return ToScore(question.text, [YES, NO])
    if isinstance(question, Choice):
        labels = [_spellings(option.value) for option in question.choices]
        described = [(one[0], option.description) for one, option in zip(labels, question.choices, strict=True)]
    else:
        labels = [(level.label,) for level in question.levels]
        described = [(level.label, level.description) for level in question.levels]
    lines = [f"{label}: {text}" for label, text in described if text is not None]
    return ToScore("\n".join([question.text, *lines]), labels)


def answer(question: AnyQuestion, likelihoods: Sequence[Sequence[Likelihood]]) -> dict[str, Any]:
    """One answer's body; `likelihoods` are those of each way to write each answer, as `to_score` gave them."""
    logs = [_log_sum([way.logprob for way in ways]) for ways in likelihoods]
    shares = _shares(logs)
    head = {"type": question.type, "name": question.name}
    # spellings can begin alike, but none is the whole of another, so all of them together are at most 1
    mass = min(1.0, math.fsum(map(math.exp, logs)))
    best = shares.index(max(shares))
    sure = {"confidence": min(1.0, math.fsum(way.confidence for way in likelihoods[best]))}
    diagnostics = {"diagnostics": {"label_mass": mass}}
    if isinstance(question, Predicate):
        return {**head, "probability": shares[0], **sure, **diagnostics}
    if isinstance(question, Choice):
        values = [option.value for option in question.choices]
        listed = [{"value": value, "probability": share} for value, share in zip(values, shares, strict=True)]
        return {
            **head,
            "choice": values[best],
            **sure,
            "probabilities": listed,
            **diagnostics,
        }
    return {
        **head,
        "score": math.fsum(level * share for level, share in enumerate(shares)),
        **sure,
        "probabilities": _levels(question, shares),
        **diagnostics,
    }


def decision(model: str, answers: list[dict[str, Any]], usage: Usage) -> dict[str, Any]:
    """The whole body."""
    return {"object": "decision", "model": model, "answers": answers, "usage": usage_body(usage)}


def _levels(question: Score, shares: list[float]) -> list[dict[str, Any]]:
    return [
        {"value": value, "label": level.label, "probability": share}
        for value, (level, share) in enumerate(zip(question.levels, shares, strict=True))
    ]


def _spellings(value: str | bool) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    return YES if value else NO


def _log_sum(logs: Sequence[float]) -> float:
    top = max(logs)
    return top + math.log(math.fsum(math.exp(one - top) for one in logs))


def _shares(logs: Sequence[float]) -> list[float]:
    """Probabilities that add up to 1, of logarithms that may all be far below what a float can hold."""
    top = max(logs)
    weights = [math.exp(one - top) for one in logs]
    total = math.fsum(weights)
    return [weight / total for weight in weights]
