"""Held-out questions, exact-match scores and the table per family. Knows no engine and no torch.

Seeds from 900,000,000 up are never trained on.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import sqrt

from PIL import Image

from edgevlm_demo.scenes import FIRST_EVALUATION_SEED, SCENES, draw_scene


@dataclass(frozen=True)
class EvaluationQuestion:
    """One question about one held-out picture, with the true answer."""

    seed: int
    scene: str
    family: str
    image: Image.Image
    text: str
    answer: str


@dataclass(frozen=True)
class FamilyScore:
    """Results of one family; shares are 0 to 1, `low` and `high` bound the 95 % Wilson interval."""

    family: str
    count: int
    right: int
    low: float
    high: float
    majority: float  # share of the most frequent true answer

    @property
    def accuracy(self) -> float:
        return self.right / self.count


def evaluation_questions(
    count_per_scene: int, first_seed: int = FIRST_EVALUATION_SEED, *, held_out_wording: bool = False
) -> Iterator[EvaluationQuestion]:
    """All questions of `count_per_scene` pictures of every scene, picture by picture."""
    if first_seed < FIRST_EVALUATION_SEED:
        raise ValueError(f"seeds below {FIRST_EVALUATION_SEED} may have been trained on")
    for name in SCENES:
        for seed in range(first_seed, first_seed + count_per_scene):
            scene = draw_scene(name, seed, held_out_wording=held_out_wording)
            for q in scene.questions:
                yield EvaluationQuestion(seed, name, q.family, scene.image, q.text, q.answer)


def is_right(said: str, answer: str) -> bool:
    """Exact match after stripping, dropping one final dot and lower-casing both."""
    return _normal(said) == _normal(answer)


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
    """From (family, what was said, true answer), in the order in which families first occur."""
    said_and_true: dict[str, list[tuple[str, str]]] = {}
    for family, said, answer in results:
        said_and_true.setdefault(family, []).append((said, answer))
    return [_score(family, pairs) for family, pairs in said_and_true.items()]


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


def _score(family: str, pairs: list[tuple[str, str]]) -> FamilyScore:
    right = sum(is_right(said, answer) for said, answer in pairs)
    frequent = Counter(_normal(answer) for _, answer in pairs).most_common(1)[0][1]
    low, high = wilson_interval(right, len(pairs))
    return FamilyScore(family, len(pairs), right, low, high, frequent / len(pairs))


def _normal(text: str) -> str:
    return text.strip().removesuffix(".").lower()
