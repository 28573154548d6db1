"""What the six benchmarks share: a question, an answer, a judged answer. Knows no files and no server."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

NAMES = ("gqa", "textvqa", "pope", "mme", "sqa", "mmbench")
"""Of the benchmarks, and of their files here."""

SHORT = 128
"""Tokens of an answer in a word or a phrase, as upstream allows them."""
LETTER = 1024
"""The same for the letter of an option."""
LETTER_SUFFIX = "\nAnswer with the option's letter from the given choices directly."

Id = str | int

Picture = Callable[[], bytes]
"""Reads a file when its question is asked: thousands of them would fill the memory. Raises `CommandError`."""


class Question(NamedTuple):
    """`prompt` is what is recorded, as the official scorers look for it; `text` is what the model reads.

    Two questions may have the same `id`, but not the same prompt too.
    """

    id: Id
    prompt: str
    text: str
    picture: Picture | None


class Answer(NamedTuple):
    """What was said to a question."""

    question: Question
    text: str


class Judged(NamedTuple):
    """One answer as its benchmark understands it, with 0 to 1 points."""

    category: str
    said: str
    truth: str
    points: float


Unit = tuple[Judged, ...]
"""Answers that belong together: those about one picture, or to the rotations of one question."""

Units = Mapping[str, Unit]
"""By a name, in the order of the file."""

Paired = Literal["answers", "units", "points"]
"""What is right or wrong as a whole: each answer, each unit, or nothing, where points are given in part."""


class Benchmark(Protocol):
    """A module of this package."""

    TITLE: str
    TOKENS: int
    PAIRED: Paired

    def questions(self, data: Path) -> list[Question]:
        """In the order in which official scorers want the answers. Raises `CommandError`."""

    def judged(self, data: Path, answers: Sequence[Answer]) -> Units:
        """Raises `CommandError` where the truth is missing."""

    def headline(self, units: Iterable[Unit]) -> float:
        """The score that is published."""

    def rows(self, units: Iterable[Unit]) -> list[tuple[str, str]]:
        """The headline and its parts, for a table."""


def mean_points(units: Iterable[Unit]) -> float:
    """Of all answers, in per cent; 0 for none."""
    points = [answer.points for unit in units for answer in unit]
    return 100 * sum(points) / len(points) if points else 0.0


def by_category(units: Iterable[Unit]) -> dict[str, list[Unit]]:
    """In the order in which categories first occur."""
    found: dict[str, list[Unit]] = {}
    for unit in units:
        found.setdefault(unit[0].category, []).append(unit)
    return found
