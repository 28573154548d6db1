"""How likely a token was, and which were likelier. Knows arrays, no text and no requests.

The probabilities are the model's own: before temperature, limits, penalties, biases and forms.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from edgevlm_engines import Floats
from numpy.typing import NDArray


class Alternative(NamedTuple):
    """A token and the natural logarithm of its probability."""

    token: int
    logprob: float


class Logprobs(NamedTuple):
    """The chosen token, and the likeliest ones in falling order, which need not include it."""

    chosen: Alternative
    top: tuple[Alternative, ...]


def logprobs_of(logits: Floats, token: int, count: int) -> Logprobs:
    """Of one token and the `count` likeliest of finite logits `[vocab_size]`; of equals the first comes first."""
    wide = logits.astype(np.float64)
    wide -= wide.max()
    wide -= np.log(np.exp(wide).sum())
    return Logprobs(
        Alternative(token, float(wide[token])), tuple(Alternative(t, float(wide[t])) for t in _top(wide, count))
    )


def chosen_logprobs(logits: Floats, tokens: Sequence[int], temperature: float) -> list[float]:
    """Of one token of each row of logits `[n, vocab_size]`; what a row that is not finite gets means nothing.

    This is done for every answer in every step, so in float32, whose rounding no one sees in a probability.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        # the largest becomes 0: nothing overflows upwards, and no logarithm is above 0
        weights = logits - logits.max(axis=1, keepdims=True)
        if temperature != 1:
            weights /= np.float32(temperature)
        chosen = weights[np.arange(len(weights)), tokens]
        np.exp(weights, out=weights)
        logprobs: list[float] = (chosen - np.log(weights.sum(axis=1))).tolist()
    return logprobs


def _top(values: NDArray[np.float64], count: int) -> list[int]:
    if not count:
        return []
    count = min(count, len(values))
    bound = np.partition(values, len(values) - count)[len(values) - count]
    tokens = np.flatnonzero(values >= bound)
    order = np.argsort(-values[tokens], kind="stable")[:count]
    return [int(token) for token in tokens[order]]
