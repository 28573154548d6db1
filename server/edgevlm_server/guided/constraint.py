"""Which tokens may come next in an answer of a given form. Knows llguidance's matcher, no schemas and no threads."""

import numpy as np
from llguidance import LLMatcher
from numpy.typing import NDArray

Allowed = NDArray[np.bool_]


class ConstraintFailed(Exception):
    """The grammar cannot be followed any further within its bounds."""


class Weight:
    """What one compiled grammar takes, in bytes. It lives as long as any place in the grammar does."""

    def __init__(self, size: int) -> None:
        self.size = size


class Constraint:
    """One answer's place in its grammar. Owned by whoever chooses its tokens; nothing is shared between answers."""

    def __init__(self, matcher: LLMatcher, vocab_size: int, weight: Weight | None = None) -> None:
        self.failed = False
        """The grammar was given up; the answer cannot go on."""
        self._matcher = matcher
        self._vocab_size = vocab_size
        self._weight = weight

    def fresh(self, weight: Weight | None = None) -> "Constraint":
        """The same place once more, for another answer; `weight` if it is not known yet."""
        return Constraint(self._matcher.deep_copy(), self._vocab_size, weight or self._weight)

    def allowed(self) -> Allowed:
        """Tokens that may come next, `[vocab_size]`; at least one. Raises `ConstraintFailed`."""
        bits = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        self.failed = self._matcher.is_error() or not bits.any()
        if self.failed:
            raise ConstraintFailed
        return np.unpackbits(bits, count=self._vocab_size, bitorder="little").view(np.bool_)

    def take(self, token: int) -> None:
        """Go on behind a token that was allowed."""
        self._matcher.consume_token(token)

    @property
    def complete(self) -> bool:
        """The answer is whole and nothing but its end may follow."""
        return self._matcher.is_stopped() and not self._matcher.is_error()
