"""The same questions asked in three ways, family by family: whether a form costs anything. Knows no server."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from edgevlm.evaluation.forms import WAYS, Way
from edgevlm.markdown import markdown

LOSS = 0.01
"""A form may be right in so much less of a family's questions."""


class Outcome(NamedTuple):
    """What became of a question of a family. `vain` is one to be refused."""

    family: str
    vain: bool
    right: bool
    refused: bool


class Row(NamedTuple):
    """Shares of one family, by way."""

    family: str
    questions: int
    right: dict[Way, float]
    refused: dict[Way, float]
    vain: dict[Way, float]
    """Of the questions that are to be refused, how many were."""

    @property
    def met(self) -> bool:
        """Both forms are as right as a free answer, and refuse no less where they should."""
        forms = [way for way in WAYS if way != "free"]
        right = all(self.right[way] >= self.right["free"] - LOSS for way in forms)
        return right and all(self.vain[way] >= self.vain["free"] for way in forms)


def rows(found: Mapping[Way, Sequence[Outcome]]) -> list[Row]:
    """By family, in the order in which they first occur."""
    return [_row(family, found) for family in dict.fromkeys(one.family for one in found["free"])]


def report(found: Mapping[Way, Sequence[Outcome]]) -> str:
    """A Markdown table, and how many families are as right in both forms."""
    made = rows(found)
    right, refused = ([f"{what}: {way}" for way in WAYS] for what in ("right", "refused"))
    met = sum(row.met for row in made)
    return (
        f"{markdown([['family', 'questions', *right, *refused, 'aim'], *map(_cells, made)])}\n\n"
        f"{met} of {len(made)} families meet the aim: in JSON and as a field right as often as free, or "
        f"{100 * LOSS:.0f} % less at most, and refused no less often where there is nothing to tell."
    )


def _row(family: str, found: Mapping[Way, Sequence[Outcome]]) -> Row:
    mine = {way: [one for one in found[way] if one.family == family] for way in WAYS}
    return Row(
        family,
        len(mine["free"]),
        {way: _share([one.right for one in mine[way]]) for way in WAYS},
        {way: _share([one.refused for one in mine[way]]) for way in WAYS},
        {way: _share([one.refused for one in mine[way] if one.vain]) for way in WAYS},
    )


def _share(values: Sequence[bool]) -> float:
    return sum(values) / len(values) if values else 0.0


def _cells(row: Row) -> list[str]:
    shares = [f"{100 * shares[way]:.1f}" for shares in (row.right, row.refused) for way in WAYS]
    return [row.family, str(row.questions), *shares, "met" if row.met else "not met"]
