"""Held-out questions, exact-match scores and the tables per family. Knows no engine and no torch.

Seeds from 900,000,000 up are never trained on. A set of questions varies one thing at a time: the seeds
alone, the seeds and the fonts, or the seeds and the wording.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import NamedTuple

from PIL import Image

from edgevlm_demo.scenes import FIRST_EVALUATION_SEED, SCENES, Style, draw_scene
from edgevlm_demo.scenes.wording import Words

GAUGE = "gauge reading"
HALF_STEP = 0.5  # of the gauge's scale
STYLED = ("display", "dial gauge", "label", "panel")  # scenes that held-out fonts change


class QuestionSet(NamedTuple):
    words: Words = "templates"
    style: Style = "plain"


SETS = {
    "held-out pictures": QuestionSet(),
    "held-out fonts": QuestionSet(style="held out"),
    "held-out wording": QuestionSet(words="held out"),
}


@dataclass(frozen=True)
class EvaluationQuestion:
    """One question about one held-out picture, with the true answer."""

    seed: int
    scene: str
    family: str
    image: Image.Image
    text: str
    answer: str
    tolerance: float = 0.0  # how far off a number is still right


@dataclass(frozen=True)
class FamilyScore:
    """Results of one family; shares are 0 to 1, `low` and `high` bound the 95 % Wilson interval."""

    family: str
    count: int
    right: int
    low: float
    high: float
    majority: float  # what always giving the most frequent true answer scores

    @property
    def accuracy(self) -> float:
        return self.right / self.count


def evaluation_questions(
    count_per_scene: int,
    first_seed: int = FIRST_EVALUATION_SEED,
    *,
    words: Words = "templates",
    style: Style = "plain",
) -> Iterator[EvaluationQuestion]:
    """All questions of `count_per_scene` pictures of every scene, picture by picture.

    With held-out fonts, only scenes in which something is printed or has digits.
    """
    if first_seed < FIRST_EVALUATION_SEED:
        raise ValueError(f"seeds below {FIRST_EVALUATION_SEED} may have been trained on")
    for name in STYLED if style == "held out" else SCENES:
        for seed in range(first_seed, first_seed + count_per_scene):
            scene = draw_scene(name, seed, words=words, style=style)
            for q in scene.questions:
                yield EvaluationQuestion(seed, name, q.family, scene.image, q.text, q.answer)


def is_right(said: str, answer: str) -> bool:
    """Exact match after stripping, dropping one final dot and lower-casing both."""
    return _normal(said) == _normal(answer)


def is_near(said: str, answer: str, tolerance: float = HALF_STEP) -> bool:
    """Two numbers that differ by at most `tolerance`, where there is one; what is no number is never near."""
    try:
        # a little more, for what binary fractions add
        return tolerance > 0 and abs(float(_normal(said)) - float(answer)) <= 1.0001 * tolerance
    except ValueError:
        return False


def wilson_interval(right: int, count: int) -> tuple[float, float]:
    """Bounds of the 95 % interval of a share."""
    if count == 0:
        return 0.0, 1.0
    z = 1.959964
    share = right / count
    centre = share + z * z / (2 * count)
    spread = z * sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    scale = 1 + z * z / count
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


def family_scores(results: Iterable[tuple[str, str, str]]) -> list[FamilyScore]:
    """From (family, what was said, true answer), in the order in which families first occur.

    The gauge has a second row, where half a scale step more or less is right too.
    """
    said_and_true: dict[str, list[tuple[str, str]]] = {}
    for family, said, answer in results:
        said_and_true.setdefault(family, []).append((said, answer))
    scores = [_score(family, pairs, is_right) for family, pairs in said_and_true.items()]
    if GAUGE in said_and_true:
        scores.append(_score(f"{GAUGE}, within half a step", said_and_true[GAUGE], is_near))
    return scores


def table(scores: Sequence[FamilyScore]) -> str:
    """A Markdown table, in per cent."""
    lines = [
        "| family | questions | right | 95 % interval | always the most frequent answer |",
        "|---|---|---|---|---|",
    ]
    for s in scores:
        interval = f"{100 * s.low:.1f}-{100 * s.high:.1f}"
        lines.append(f"| {s.family} | {s.count} | {100 * s.accuracy:.1f} | {interval} | {100 * s.majority:.1f} |")
    return "\n".join(lines) + "\n"


def comparison(columns: Mapping[str, Sequence[FamilyScore]]) -> str:
    """A Markdown table with one column of shares a set, in per cent, and counts in brackets."""
    families = list(dict.fromkeys(score.family for scores in columns.values() for score in scores))
    cells = {(name, s.family): f"{100 * s.accuracy:.1f} ({s.count})" for name, ss in columns.items() for s in ss}
    lines = [f"| family | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    lines += [f"| {f} | {' | '.join(cells.get((name, f), '') for name in columns)} |" for f in families]
    return "\n".join(lines) + "\n"


def _score(family: str, pairs: list[tuple[str, str]], judge: Callable[[str, str], bool]) -> FamilyScore:
    right = sum(judge(said, answer) for said, answer in pairs)
    frequent = Counter(_normal(answer) for _, answer in pairs).most_common(1)[0][0]
    majority = sum(judge(frequent, answer) for _, answer in pairs)
    low, high = wilson_interval(right, len(pairs))
    return FamilyScore(family, len(pairs), right, low, high, majority / len(pairs))


def _normal(text: str) -> str:
    return text.strip().removesuffix(".").lower()
