"""How likely the model is to say each of some given answers. Knows sequences and tokens, no text and no HTTP.

An answer is fed to the model token by token, its end token last, whatever the model itself would say; how likely all
of them together are is how likely the answer is. So answers of any length compare: `1` is not `10`. The
prompt that they share is computed once and then taken from the prefix cache, as far as that reaches.
"""

from collections import abc
from typing import NamedTuple

import numpy as np
from edgevlm_engines import Floats, Tokens

from edgevlm_server.request import EncodedImages
from edgevlm_server.runtime.output import ClientLeft
from edgevlm_server.runtime.sampling import Sampler, SamplingParams
from edgevlm_server.runtime.sequence import Sequence, Ticket, Token


class Likelihood(NamedTuple):
    """How likely an answer is: what is decided goes by the first number, what is said of it by the second."""

    logprob: float
    """The natural logarithm of its probability, as the model has it."""
    confidence: float
    """The same probability at the temperature of confidence, see `Sequence.confidence`."""


class ForcedTokens:
    """Lets one token after the other through, and no other."""

    def __init__(self, tokens: abc.Sequence[int]) -> None:
        self._tokens = tuple(tokens)
        self._taken = 0

    def apply(self, logits: Floats) -> Floats:
        """A changed copy of logits `[vocab_size]`."""
        out = np.full_like(logits, -np.inf)
        token = self._tokens[self._taken]
        out[token] = logits[token]
        return out

    def take(self, token: int) -> None:
        """Go on to the next token."""
        self._taken += 1


def forced(prompt: Tokens, images: EncodedImages, answer: abc.Sequence[int], number: int) -> Sequence:
    """A sequence that says `answer` behind the prompt."""
    sequence = Sequence(
        prompt, images.features, len(answer), frozenset(), images=images.files, logprobs=0, number=number
    )
    sequence.sampler = Sampler(SamplingParams(), ForcedTokens(answer))
    return sequence


async def likelihood(ticket: Ticket) -> Likelihood:
    """How likely a forced answer is. Raises `ApiError`, `ClientLeft`."""
    logprob = 0.0
    async for event in ticket.events():
        if isinstance(event, Token):
            assert event.logprobs is not None, "asked for above"
            logprob += event.logprobs.chosen.logprob
        elif event.error is not None:
            raise event.error()
        elif event.reason == "cancelled":
            raise ClientLeft
    return Likelihood(logprob, ticket.sequence.confidence)
