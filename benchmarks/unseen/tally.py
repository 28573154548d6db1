"""What became of the questions, family by family, beside what is aimed at. Knows no drawing and no server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from benchmarks.report import table
from benchmarks.unseen.families import PHOTOGRAPHS
from benchmarks.unseen.question import Outcome, Truth, outcome
from edgevlm.evaluation.calibration import Judged
from edgevlm.evaluation.said import Said

SURE = 0.9
"""A wrong answer of at least this confidence is one that somebody acts on."""

FIT_TO_USE = 0.90
REFUSED = 0.95
SURELY_WRONG = 0.01
"""The aims: right or refused at least, photographs refused at least, sure and wrong at most."""

AIMS = (
    f"Aimed at: right or refused {100 * FIT_TO_USE:.0f} % at least, wrong with a confidence of {SURE} or more "
    f"{100 * SURELY_WRONG:.0f} % at most, photographs refused {100 * REFUSED:.0f} % at least. "
    "Where a picture has nothing to tell, a refusal is right."
)


class Result(NamedTuple):
    """A question, without its picture, and what was said."""

    family: str
    text: str
    truth: Truth
    said: Said

    @property
    def outcome(self) -> Outcome:
        if self.said.refused:
            return "right" if self.truth.refuse else "refused"
        return outcome(self.said.text, self.truth)

    @property
    def surely_wrong(self) -> bool:
        return self.outcome == "wrong" and self.said.confidence >= SURE


class Tally(NamedTuple):
    """Counts of one family."""

    family: str
    asked: int
    right: int
    refused: int
    surely_wrong: int

    @property
    def wrong(self) -> int:
        return self.asked - self.right - self.refused

    @property
    def met(self) -> bool:
        least = REFUSED if self.family == PHOTOGRAPHS else FIT_TO_USE
        fit = (self.right + self.refused) / self.asked >= least
        return fit and self.surely_wrong / self.asked <= SURELY_WRONG


def tally(family: str, results: Sequence[Result]) -> Tally:
    """Of results of one family."""
    outcomes = [result.outcome for result in results]
    surely = sum(result.surely_wrong for result in results)
    return Tally(family, len(results), outcomes.count("right"), outcomes.count("refused"), surely)


def tallies(results: Sequence[Result]) -> list[Tally]:
    """In the order in which families first occur."""
    families = dict.fromkeys(result.family for result in results)
    return [tally(family, [one for one in results if one.family == family]) for family in families]


def report(results: Sequence[Result]) -> str:
    """A table of all families, and how many of them meet the aims."""
    rows = tallies(results)
    heads = ["family", "questions", "right", "refused", "wrong", f"wrong and sure ({SURE}+)", "aims"]
    met = sum(row.met for row in rows)
    return f"{table(heads, map(_cells, rows))}\n\n{met} of {len(rows)} families meet the aims. {AIMS}"


def judged(results: Sequence[Result]) -> list[Judged]:
    """For calibration: what is no refusal, by its own question's side."""
    return [
        Judged(one.outcome == "right", one.said.confidence, number % 2, one.said.curve)
        for number, one in enumerate(results)
        if not refusal(one)
    ]


def refusal(result: Result) -> bool:
    """Whether it was one, rightly or not."""
    return result.outcome == "refused" or (result.outcome == "right" and result.truth.refuse)


def _cells(row: Tally) -> list[str]:
    counts = (row.right, row.refused, row.wrong, row.surely_wrong)
    shares = [f"{100 * count / row.asked:.0f} %" for count in counts]
    return [row.family, str(row.asked), *shares, "met" if row.met else "not met"]
