"""Logits to one token. Knows arrays, not sequences, engines or HTTP."""

from dataclasses import dataclass

import numpy as np
from edgevlm_engines import Floats
from numpy.typing import NDArray

Wide = NDArray[np.float64]


class NotFinite(Exception):
    """The logits hold NaN or infinity: this answer cannot go on."""


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """What a request asks for. `temperature` 0 is greedy; `top_k` 0 and `top_p` 1 leave all tokens in.

    The order is the usual one: temperature, then top_k, then top_p over what is left.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int | None = None


class Sampler:
    """The random numbers of one request: the same seed gives the same answer, whatever else runs beside it."""

    def __init__(self, params: SamplingParams) -> None:
        self._params = params
        seed = None if params.seed is None else params.seed % 2**64
        self._random = np.random.Generator(np.random.Philox(seed))

    def sample(self, logits: Floats) -> int:
        """Choose from logits `[vocab_size]`. Raises `NotFinite` rather than answering from broken numbers."""
        if not np.isfinite(logits).all():
            raise NotFinite
        if self._params.temperature == 0:
            return int(logits.argmax())
        tokens, weights = self._candidates(logits.astype(np.float64))
        cumulated = np.cumsum(weights)
        # a draw in [0, 1) scaled to the sum, so that rounding cannot leave the last token unreachable
        index = np.searchsorted(cumulated, self._random.random() * cumulated[-1], side="right")
        return int(tokens[min(index, len(tokens) - 1)])

    def _candidates(self, logits: Wide) -> tuple[NDArray[np.intp], Wide]:
        """Tokens that may be chosen, with unnormalised probabilities."""
        # the largest becomes 0 before the division: however small the temperature, nothing overflows upwards
        weights = np.exp((logits - logits.max()) / self._params.temperature)
        top_k = min(self._params.top_k or len(logits), len(logits))
        if top_k == len(logits) and self._params.top_p == 1:
            return np.arange(len(logits)), weights
        order = np.argsort(-logits, kind="stable")[:top_k]  # equal logits keep their order on every machine
        weights = weights[order]
        if self._params.top_p < 1:
            share = np.cumsum(weights) / weights.sum()
            keep = int(np.searchsorted(share, self._params.top_p)) + 1
            order, weights = order[:keep], weights[:keep]
        return order, weights
