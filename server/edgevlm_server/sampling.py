"""Logits to one token. Knows arrays, not sequences, engines or HTTP."""

from dataclasses import dataclass

import numpy as np
from edgevlm_engines import Floats


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
        tokens, weights = self._candidates(logits.astype(np.float64) / self._params.temperature)
        cumulated = np.cumsum(weights)
        # a draw in [0, 1) scaled to the sum, so that rounding cannot leave the last token unreachable
        index = np.searchsorted(cumulated, self._random.random() * cumulated[-1], side="right")
        return int(tokens[min(index, len(tokens) - 1)])

    def _candidates(self, scaled: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Tokens that may be chosen, most likely first, with unnormalised probabilities."""
        count = min(self._params.top_k or len(scaled), len(scaled))
        # stable: tokens of equal logits keep their order on every machine
        order = np.argsort(-scaled, kind="stable")[:count]
        weights = np.exp(scaled[order] - scaled[order[0]])
        if self._params.top_p < 1:
            share = np.cumsum(weights) / weights.sum()
            keep = int(np.searchsorted(share, self._params.top_p)) + 1
            order, weights = order[:keep], weights[:keep]
        return order, weights
