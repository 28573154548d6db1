"""Whether answers are right as often as they are sure: tables, errors, and the temperature that fits best.

Refusals are left out: nobody acts on one.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from math import exp, expm1, log
from typing import NamedTuple

from edgevlm.evaluation.said import TEMPERATURES
from edgevlm.markdown import markdown

EDGES = (0.0, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.99, 1.0)
"""Of the bins: narrow at the top, where a trained model's answers are."""

THRESHOLDS = (0.5, 0.8, 0.9, 0.95, 0.99)
"""What a user might ask for as `min_confidence`."""

NEARLY_ONE = -1e-6
"""No logarithm of a confidence is taken as higher: one wrong answer at 1 would otherwise cost infinitely much."""

LEAST = 1e-300
"""No confidence is taken as lower, for the same reason."""

ENOUGH = 10
"""Wrong answers in each half, at least, for a temperature to be more than chance."""

WORTH = 0.001
"""How much less log loss makes another temperature worth writing down: less is not seen in the table."""


class Judged(NamedTuple):
    """An answer that is no refusal. `half` says on which side it is when a temperature is fitted."""

    right: bool
    confidence: float
    half: int
    curve: tuple[float, ...] = ()


class Bin(NamedTuple):
    """Answers whose confidence is over `low`, and `high` at most."""

    low: float
    high: float
    answers: int
    confidence: float
    right: float


class Fit(NamedTuple):
    """A temperature, found on one half; the errors are those of the other, before it and at it."""

    temperature: float
    log_loss: tuple[float, float]
    error: tuple[float, float]

    @property
    def helps(self) -> bool:
        return self.log_loss[1] < self.log_loss[0] - WORTH


def bins(pairs: Sequence[tuple[float, bool]]) -> list[Bin]:
    """Of confidences with whether the answer was right; those that hold none are left out."""
    found = []
    for low, high in pairwise(EDGES):
        inside = [pair for pair in pairs if low < pair[0] <= high or pair[0] == low == 0]
        if inside:
            confidence, right = (sum(column) / len(inside) for column in zip(*inside, strict=True))
            found.append(Bin(low, high, len(inside), confidence, right))
    return found


def expected_error(pairs: Sequence[tuple[float, bool]]) -> float:
    """How far confidence and share of right answers lie apart in the bins, weighted by their answers."""
    return sum(one.answers * abs(one.confidence - one.right) for one in bins(pairs)) / len(pairs)


def log_loss(logs: Iterable[float], right: Iterable[bool]) -> float:
    """Mean surprise, in nats, at what was right and wrong; `logs` are natural logarithms of confidences."""
    losses = [_loss(value, good) for value, good in zip(logs, right, strict=True)]
    return sum(losses) / len(losses)


def fit(judged: Sequence[Judged]) -> Fit | None:
    """The temperature of lowest log loss on the answers of half 0, judged on half 1.

    `None` where a half has less than `ENOUGH` wrong answers, or there are no curves.
    """
    halves = [[one for one in judged if one.half == half and one.curve] for half in (0, 1)]
    if any(sum(not one.right for one in half) < ENOUGH for half in halves):
        return None
    losses = [
        log_loss((one.curve[index] for one in halves[0]), (one.right for one in halves[0]))
        for index in range(len(TEMPERATURES))
    ]
    best = losses.index(min(losses))
    ways: tuple[Callable[[Judged], float], ...] = (_log_of, lambda one: one.curve[best])
    rated = [[(way(one), one.right) for one in halves[1]] for way in ways]
    loss = [log_loss(*zip(*pairs, strict=True)) for pairs in rated]
    error = [expected_error([(exp(value), right) for value, right in pairs]) for pairs in rated]
    return Fit(TEMPERATURES[best], (loss[0], loss[1]), (error[0], error[1]))


def report(judged: Sequence[Judged]) -> str:
    """Reliability, what thresholds keep and, if the answers have curves, a temperature, as Markdown."""
    if not judged:
        return "Every answer was a refusal: there is nothing to say about confidence."
    pairs = [(one.confidence, one.right) for one in judged]
    parts = [
        markdown([["confidence", "answers", "mean confidence", "right"], *map(_bin_cells, bins(pairs))]),
        f"Expected calibration error: {100 * expected_error(pairs):.1f} % of {len(pairs)} answers without refusals.",
        markdown([["`min_confidence`", "answers kept", "of these right"], *(_kept(pairs, t) for t in THRESHOLDS)]),
    ]
    if any(one.curve for one in judged):
        parts += _fitted(fit(judged))
    return "\n\n".join(parts)


def _log_of(one: Judged) -> float:
    return log(max(one.confidence, LEAST))


def _fitted(found: Fit | None) -> list[str]:
    if found is None:
        return [f"Too few wrong answers to fit a temperature: {ENOUGH} are needed in each half."]
    rows = [
        ["temperature fitted on one half, judged on the other", "log loss", "expected error"],
        *(
            [name, f"{found.log_loss[index]:.3f}", f"{100 * found.error[index]:.1f} %"]
            for index, name in enumerate(("as the bundle has it", f"{found.temperature:g}"))
        ),
    ]
    if found.helps:
        return [markdown(rows), f'For edgevlm.json: "confidence_temperature": {found.temperature:g}']
    return [markdown(rows), "No temperature does better than the bundle's."]


def _bin_cells(one: Bin) -> list[str]:
    return [
        f"{one.low:.2f} to {one.high:.2f}",
        str(one.answers),
        f"{100 * one.confidence:.1f} %",
        f"{100 * one.right:.1f} %",
    ]


def _kept(pairs: Sequence[tuple[float, bool]], threshold: float) -> list[str]:
    kept = [right for confidence, right in pairs if confidence >= threshold]
    right = f"{100 * sum(kept) / len(kept):.1f} %" if kept else "none kept"
    return [f"{threshold:.2f}", f"{100 * len(kept) / len(pairs):.1f} %", right]


def _loss(value: float, right: bool) -> float:
    value = min(value, NEARLY_ONE)
    return -value if right else -log(-expm1(value))
