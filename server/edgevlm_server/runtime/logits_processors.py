"""What changes an answer's logits before a token is chosen: penalties, biases, forms. Knows one answer's tokens.

The order: repetition penalty, frequency and presence penalty, bias; then what is forbidden goes to minus infinity.
"""

from collections.abc import Collection

import numpy as np
from edgevlm_engines import Floats, Tokens
from numpy.typing import NDArray

from edgevlm_server.guided.constraint import Constraint, ConstraintFailed
from edgevlm_server.runtime.sampling import SamplingParams

LARGEST = float(np.finfo(np.float32).max)
FORBIDDEN = np.float32(-np.inf)


class LogitsProcessors:
    """One answer's, in step with its tokens."""

    def __init__(
        self,
        params: SamplingParams,
        prompt: Tokens,
        *,
        end_ids: Collection[int] = (),
        min_tokens: int = 0,
        constraint: Constraint | None = None,
    ) -> None:
        """`prompt` `[n]`: what is negative in it is no token. `end_ids` may not be among the first `min_tokens`."""
        self._params = params
        self._prompt = prompt
        self._end_ids = np.array(sorted(end_ids), np.int64)
        self._min_tokens = min_tokens
        self._constraint = constraint
        self._taken = 0
        # filled when the size of the vocabulary is seen
        self._counts: NDArray[np.int32] = np.zeros(0, np.int32)
        self._used: NDArray[np.bool_] = np.zeros(0, np.bool_)
        self._seen: NDArray[np.bool_] = np.zeros(0, np.bool_)
        """Tokens in the answer, and those in the prompt or the answer."""
        self._bias_ids = np.array([token for token, _ in params.logit_bias], np.int64)
        self._biases = np.array([bias for _, bias in params.logit_bias], np.float32)

    def apply(self, logits: Floats) -> Floats | None:
        """A changed copy of finite logits `[vocab_size]`, not all forbidden; `None`: no token can follow."""
        out: Floats = logits.copy()
        if self._params.penalised:
            self._penalise(out)
        out[self._bias_ids] += self._biases
        if self._constraint is not None:
            try:
                out[~self._constraint.allowed()] = FORBIDDEN
            except ConstraintFailed:
                return None
        if self._taken < self._min_tokens:
            self._forbid_the_end(out)
        return out

    def take(self, token: int) -> None:
        """Note the token that was chosen."""
        self._taken += 1
        if self._params.penalised:
            self._counts[token] += 1
            self._used[token] = self._seen[token] = True
        if self._constraint is not None:
            self._constraint.take(token)

    def _penalise(self, out: Floats) -> None:
        if not len(self._counts):
            self._counts = np.zeros(len(out), np.int32)
            self._used = np.zeros(len(out), np.bool_)
            self._seen = np.zeros(len(out), np.bool_)
            self._seen[self._prompt[self._prompt >= 0]] = True
        params = self._params
        if params.repetition_penalty != 1:
            seen = self._seen.nonzero()[0]
            values = out[seen].astype(np.float64)
            factor = params.repetition_penalty
            out[seen] = np.clip(np.where(values > 0, values / factor, values * factor), -LARGEST, LARGEST)
        used = self._used.nonzero()[0]
        out[used] -= params.presence_penalty + params.frequency_penalty * self._counts[used]

    def _forbid_the_end(self, out: Floats) -> None:
        ends = out[self._end_ids]
        out[self._end_ids] = FORBIDDEN
        if out.max() == FORBIDDEN:
            # a form that is complete: nothing but the end may follow it
            out[self._end_ids] = ends
