"""Whether two models' answers to the same questions differ by more than chance. Knows no benchmark's rules."""

import random
from collections.abc import Iterator, Sequence
from math import comb
from typing import NamedTuple

from edgevlm.errors import CommandError
from edgevlm.evaluation.published.question import Benchmark, Unit, Units, by_category

RESAMPLES = 1000
SEED = 0


class Comparison(NamedTuple):
    """Second minus first, with its 95 % interval; `p` is McNemar's, where answers are right or wrong."""

    difference: float
    low: float
    high: float
    only_first: int
    only_second: int
    p: float | None

    def text(self) -> str:
        lines = [
            f"Difference (second - first): {self.difference:+.2f}, 95 % interval {self.low:+.2f} to {self.high:+.2f} "
            f"(bootstrap, {RESAMPLES} samples)."
        ]
        if self.p is not None:
            lines.append(
                f"Right in the first alone {self.only_first}, in the second alone {self.only_second}: McNemar's "
                f"exact test, p = {self.p:.4g}."
            )
        return "\n".join(lines)


def compare(benchmark: Benchmark, first: Units, second: Units) -> Comparison:
    """Raises `CommandError` unless both answered the same questions."""
    if {name: len(unit) for name, unit in first.items()} != {name: len(unit) for name, unit in second.items()}:
        raise CommandError("The two did not answer the same questions, so they cannot be compared.")
    pairs = [(first[name], second[name]) for name in first]
    low, high = interval(benchmark, pairs)
    only_first, only_second = _discordant(benchmark, pairs)
    p = None if benchmark.PAIRED == "points" else mcnemar(only_first, only_second)
    return Comparison(_difference(benchmark, pairs), low, high, only_first, only_second, p)


def mcnemar(only_first: int, only_second: int) -> float:
    """The chance that as uneven a split or a worse one comes from two models that are equally good."""
    count = only_first + only_second
    tail = sum(comb(count, index) for index in range(min(only_first, only_second) + 1))
    return min(1.0, float(2 * tail / 2**count))


Pairs = Sequence[tuple[Unit, Unit]]


def interval(benchmark: Benchmark, pairs: Pairs) -> tuple[float, float]:
    """Of the headlines' difference, by drawing units again within their category."""
    chance = random.Random(SEED)
    partner = {id(one): other for one, other in pairs}
    strata = list(by_category([one for one, _ in pairs]).values())
    differences = []
    for _ in range(RESAMPLES):
        drawn = [unit for stratum in strata for unit in chance.choices(stratum, k=len(stratum))]
        differences.append(_difference(benchmark, [(unit, partner[id(unit)]) for unit in drawn]))
    differences.sort()
    cut = round(0.025 * RESAMPLES)
    return differences[cut], differences[-1 - cut]


def _difference(benchmark: Benchmark, pairs: Pairs) -> float:
    return benchmark.headline(other for _, other in pairs) - benchmark.headline(one for one, _ in pairs)


def _discordant(benchmark: Benchmark, pairs: Pairs) -> tuple[int, int]:
    """How often one alone was right."""
    right = [both for pair in pairs for both in _right(benchmark, pair)]
    return right.count((True, False)), right.count((False, True))


def _right(benchmark: Benchmark, pair: tuple[Unit, Unit]) -> Iterator[tuple[bool, bool]]:
    if benchmark.PAIRED == "units":
        one, other = (all(answer.points == 1 for answer in unit) for unit in pair)
        yield one, other
    else:
        yield from ((one.points == 1, other.points == 1) for one, other in zip(*pair, strict=True))
