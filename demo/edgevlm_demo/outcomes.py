"""What became of answers: right, refused or wrong, and how sure the model was. Knows no engine and no torch.

Held-out pictures of devices as a camera sees them, drawn with the fonts of the package and without photographs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from edgevlm_demo.evaluation import EvaluationQuestion, is_near, is_right
from edgevlm_demo.plant import PLANT, Supplies, draw_plant, shipped_fonts
from edgevlm_demo.scenes import FIRST_EVALUATION_SEED
from edgevlm_demo.scenes.wording import NOTHING, UNANSWERABLE

Outcome = Literal["right", "refused", "wrong"]
SURE = 0.9  # a confidence from which an answer is taken at its word


@dataclass(frozen=True)
class Answered:
    """One question with what was said and the probability of all that was said."""

    family: str
    said: str
    answer: str
    tolerance: float
    confidence: float

    @property
    def outcome(self) -> Outcome:
        if is_right(self.said, self.answer) or is_near(self.said, self.answer, self.tolerance):
            return "right"
        if not _refuses(self.said):
            return "wrong"
        return "right" if _refuses(self.answer) else "refused"


@dataclass(frozen=True)
class Tally:
    """Counts of one family; `sure` of its answers are wrong with at least `SURE`."""

    family: str
    count: int
    right: int
    refused: int
    sure: int


def plant_questions(
    count_per_scene: int, first_seed: int = FIRST_EVALUATION_SEED, *, held_out_fonts: bool = False
) -> Iterator[EvaluationQuestion]:
    """All questions of `count_per_scene` pictures of every kind."""
    if first_seed < FIRST_EVALUATION_SEED:
        raise ValueError(f"seeds below {FIRST_EVALUATION_SEED} may have been trained on")
    supplies = Supplies(shipped_fonts(held_out=held_out_fonts))
    for name in PLANT:
        for seed in range(first_seed, first_seed + count_per_scene):
            scene = draw_plant(name, seed, supplies)
            for q in scene.questions:
                yield EvaluationQuestion(seed, name, q.family, scene.image, q.text, q.answer, q.tolerance)


def tallies(answers: Iterable[Answered]) -> list[Tally]:
    """By family, in the order in which they first occur."""
    families: dict[str, list[Answered]] = {}
    for answered in answers:
        families.setdefault(answered.family, []).append(answered)
    return [_tally(family, found) for family, found in families.items()]


def outcome_table(rows: Sequence[Tally]) -> str:
    """A Markdown table, in per cent."""
    lines = [
        "| family | questions | right | refused | right or refused | wrong and sure |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        shares = (row.right, row.refused, row.right + row.refused, row.sure)
        lines.append(f"| {row.family} | {row.count} | {' | '.join(f'{100 * n / row.count:.1f}' for n in shares)} |")
    return "\n".join(lines) + "\n"


def _tally(family: str, found: Sequence[Answered]) -> Tally:
    outcomes = [answered.outcome for answered in found]
    sure = sum(a.outcome == "wrong" and a.confidence >= SURE for a in found)
    return Tally(family, len(found), outcomes.count("right"), outcomes.count("refused"), sure)


def _refuses(text: str) -> bool:
    """That there is no device says so, too."""
    return is_right(text, UNANSWERABLE) or is_right(text, NOTHING)
