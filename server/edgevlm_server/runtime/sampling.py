"""Logits to tokens, for a whole batch. Knows arrays, not sequences, engines or HTTP.

Each row's arithmetic is its own, so what runs beside it cannot change its token by one bit. The limits sort as little
as they can: a bound that costs one pass leaves a few candidates, and tokens of equal logits keep their order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from edgevlm_engines import Floats
from numpy.typing import NDArray

Wide = NDArray[np.float64]

ROUNDING = 1e-9
"""More of the total than the rounding of any sum over a vocabulary."""


class NotFinite(Exception):
    """The logits hold NaN or infinity: this answer cannot go on."""


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """What a request asks for. `temperature` 0 is greedy; `top_k` 0, `top_p` 1 and `min_p` 0 leave all tokens in.

    The order is the usual one: penalties and biases, temperature, then top_k and min_p, then top_p over what is left.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    """Tokens go out that are less likely than this part of the likeliest one's probability."""
    seed: int | None = None
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    """What a token loses once it is in the answer, and each time it is."""
    repetition_penalty: float = 1.0
    """What a token in the prompt or the answer is divided by, or multiplied by if it is negative."""
    logit_bias: tuple[tuple[int, float], ...] = ()
    """Tokens and what is added to each."""

    @property
    def penalised(self) -> bool:
        """Whether a token that was there before counts for less."""
        return bool(self.presence_penalty or self.frequency_penalty or self.repetition_penalty != 1)


class LogitsProcessor(Protocol):
    """Changes one answer's logits before they are sampled; in step with its tokens."""

    def apply(self, logits: Floats) -> Floats | None:
        """A changed copy of logits `[vocab_size]`; `None`: the answer cannot go on."""
        ...

    def take(self, token: int) -> None:
        """Note the token that was chosen."""
        ...


class Sampler:
    """The random numbers of one answer: the same seed gives the same answer, whatever else runs beside it.

    Several answers to one request differ in `number`.
    """

    def __init__(self, params: SamplingParams, processor: LogitsProcessor | None = None, number: int = 0) -> None:
        self.params = params
        self.processor = processor
        seed = None if params.seed is None else params.seed % 2**64
        # the first answer draws what it would draw alone
        source = np.random.SeedSequence(seed, spawn_key=(number,) if number else ())
        self._random = np.random.Generator(np.random.Philox(source))

    def sample(self, logits: Floats) -> int:
        """Choose from logits `[vocab_size]`. Raises `NotFinite` rather than answering from broken numbers."""
        [token] = sample_batch([self], logits[np.newaxis])
        if token is None:
            raise NotFinite
        return token

    def draw(self, cumulated: Wide) -> int:
        """A place, each as likely as its weight; `cumulated` `[n]` are the weights summed up so far."""
        # a draw in [0, 1) scaled to the sum, so that rounding cannot leave the last place unreachable
        place = cumulated.searchsorted(self._random.random() * cumulated[-1], side="right")
        # rounding may lead past the end, and the last places may weigh nothing
        return int(place) if place < len(cumulated) else int(cumulated.searchsorted(cumulated[-1]))


def sample_batch(samplers: Sequence[Sampler], logits: Floats) -> list[int | None]:
    """One token for each row of logits `[n, vocab_size]`; None where a row holds NaN or infinity, or cannot go on."""
    best = logits.argmax(axis=1)
    # argmax takes NaN for the largest, so the largest and the smallest show whatever is not finite
    largest = logits[np.arange(len(logits)), best]
    finite = np.isfinite(largest) & np.isfinite(logits.min(axis=1))
    rows = zip(samplers, logits, largest.tolist(), best.tolist(), finite.tolist(), strict=True)
    # a temperature next to 0 puts all but the largest at minus infinity, which weighs nothing, as it should
    with np.errstate(over="ignore"):
        return [_choose(sampler, row, top, token) if sound else None for sampler, row, top, token, sound in rows]


def _choose(sampler: Sampler, logits: Floats, largest: float, best: int) -> int | None:
    """One token of finite logits `[vocab_size]`, whose first largest is at `best`."""
    processor = sampler.processor
    if processor is None:
        return _pick(sampler, logits, largest, best)
    changed = processor.apply(logits)
    if changed is None:
        return None
    best = int(changed.argmax())
    token = _pick(sampler, changed, float(changed[best]), best)
    processor.take(token)
    return token


def _pick(sampler: Sampler, logits: Floats, largest: float, best: int) -> int:
    """One token of logits `[vocab_size]`; those at minus infinity are never chosen."""
    if sampler.params.temperature == 0:
        return best
    values, cumulated = _limit(sampler.params, logits, largest)
    place = sampler.draw(cumulated)
    return place if values is logits else _token(logits, values, place)


def _limit(params: SamplingParams, logits: Floats, largest: float) -> tuple[Floats, Wide]:
    """Logits that may be chosen and their weights summed up so far, both `[n]`.

    The logits themselves, if no limit is set; else the largest of them in falling order.
    """
    values = _largest(logits, params.top_k) if 0 < params.top_k < len(logits) else logits
    weights = _weights(values, largest, params.temperature)
    if params.min_p:
        # the likeliest token weighs 1
        values = _falling(values[weights >= params.min_p])
        weights = _weights(values, largest, params.temperature)
    if params.top_p == 1:
        return values, weights.cumsum()
    total = weights.sum()
    if values is logits:
        # what lies below this bound weighs less, all together, than what top_p leaves out
        bound = (1 - params.top_p - ROUNDING) * total / len(values)
        values = _falling(values[weights >= bound])
        weights = _weights(values, largest, params.temperature)
    cumulated = weights.cumsum()
    # where tokens add up to top_p exactly, in whatever order they are summed, they are enough
    count = int((cumulated / total).searchsorted(params.top_p - ROUNDING)) + 1
    return values[:count], cumulated[:count]


def _weights(values: Floats, largest: float, temperature: float) -> Wide:
    """Unnormalised probabilities of logits `[n]`."""
    # the largest becomes 0 before the division: however small the temperature, nothing overflows upwards
    weights: Wide = np.subtract(values, largest, dtype=np.float64)
    weights /= temperature
    np.exp(weights, out=weights)
    return weights


def _largest(logits: Floats, count: int) -> Floats:
    """The largest logits `[count]` in falling order."""
    # so many columns hold a value as large as the bound, so at least as many logits do, and few more
    columns = min(4 * count, len(logits))
    tops = logits[: len(logits) // columns * columns].reshape(-1, columns).max(axis=0)
    tops.partition(columns - count)
    return _falling(logits[logits >= tops[columns - count]])[:count]


def _falling(values: Floats) -> Floats:
    """Sort `values` `[n]` in place; the largest comes first."""
    # values alone: far faster than sorting tokens by their values
    values.sort()
    return values[::-1]


def _token(logits: Floats, values: Floats, place: int) -> int:
    """The token at a place of `values`, which are the largest of the logits in falling order."""
    value = values[place]
    first = int((values == value).argmax())
    return int((logits == value).nonzero()[0][place - first])
