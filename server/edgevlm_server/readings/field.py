"""A named value to be read from a picture, and what came of it. Knows no pictures, no tokens and no wire shape."""

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from edgevlm_server.guided.grammar import or_refusal
from edgevlm_server.images.region import Region
from edgevlm_server.refusals import NoValue, same_words


class OutOfRange(Exception):
    """An answer of the right form stands for no allowed value."""


class CutShort(Exception):
    """An answer would have gone on where its form ends."""


class Kind(Protocol):
    """What values a field has, and how a model writes them."""

    @property
    def unit(self) -> str | None:
        """What a number counts."""
        ...

    @property
    def longest(self) -> int:
        """UTF-8 bytes of the longest way to write a value, as far as that is bounded."""
        ...

    def form(self) -> str:
        """All ways to write a value, as an expression of Lark's terminals. Raises `GrammarError`."""
        ...

    def read(self, text: str) -> Any:
        """The value of an answer in this form, with any white space at its end. Raises `OutOfRange`, `CutShort`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """`question` is asked as it is; a value that is less sure than `min_confidence` does not count.

    `region` is the part of each picture that it is about; `None`: the one that is meant anyway.
    """

    name: str
    question: str
    kind: Kind
    min_confidence: float | None = None
    region: Region | None = None


class Refusal(NamedTuple):
    """What the model answers when it cannot tell, and the sentence behind a question that makes it do so, if any."""

    text: str
    instruction: str = ""

    def behind(self, question: str) -> str:
        """The question as it is asked."""
        return f"{question}\n{self.instruction}" if self.instruction else question

    def is_said(self, text: str) -> bool:
        """Whether an answer is nothing but this; white space, final dot and case aside."""
        return same_words(text) == same_words(self.text)


class Heard(NamedTuple):
    """A whole answer: its text, whether it came to its end, and how likely the model was to give it."""

    text: str
    finished: bool
    confidence: float


@dataclass(frozen=True, slots=True)
class Reading:
    """What came of a field: a value, or the reason why there is none."""

    field: Field
    raw: str
    confidence: float
    value: Any = None
    reason: NoValue | None = None


def grammar(field: Field, refusal: Refusal) -> str:
    """The form of a field's answer: a value or the refusal, bare. Raises `GrammarError`."""
    return or_refusal(field.kind.form(), refusal.text)


def read(field: Field, heard: Heard, refusal: Refusal) -> Reading:
    """The reading of an answer that has the field's form, as far as it came."""
    raw = heard.text.strip()

    def null(reason: NoValue) -> Reading:
        return Reading(field, raw, heard.confidence, reason=reason)

    if refusal.is_said(raw):
        return null("refused")
    if not heard.finished:
        return null("unfinished")
    if field.min_confidence is not None and heard.confidence < field.min_confidence:
        return null("low_confidence")
    try:
        return Reading(field, raw, heard.confidence, field.kind.read(heard.text.lstrip()))
    except OutOfRange:
        return null("out_of_range")
    except CutShort:
        return null("unfinished")
