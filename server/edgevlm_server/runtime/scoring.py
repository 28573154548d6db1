"""How likely the model is to say each of some given answers. Knows sequences and tokens, no text and no HTTP.

An answer is fed to the model token by token, its end token last, whatever the model itself would say; the logarithms
of the tokens' probabilities add up to that of the answer. So answers of any length compare: `1` is not `10`. The
prompt that they share is computed once and then taken from the prefix cache, as far as that reaches.
"""

from collections import abc

import numpy as np
from edgevlm_engines import Floats, Tokens

from edgevlm_server.request import EncodedImages
from edgevlm_server.runtime.output import ClientLeft, End, Ticket
from edgevlm_server.runtime.sampling import Sampler, SamplingParams
from edgevlm_server.runtime.sequence import Sequence


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
    """A sequence that says `answer` behind the prompt, and reports how likely each of its tokens was."""
    sequence = Sequence(
        prompt, images.features, len(answer), frozenset(), images=images.files, logprobs=0, number=number
    )
    sequence.sampler = Sampler(SamplingParams(), ForcedTokens(answer))
    return sequence


async def logprob(ticket: Ticket) -> float:
    """The natural logarithm of the probability of a forced answer. Raises `ApiError`, `ClientLeft`."""
    total = 0.0
    async for event in ticket.events():
        if not isinstance(event, End):
            assert event.logprobs is not None, "forced sequences report them"
            total += event.logprobs.chosen.logprob
        elif event.error is not None:
            raise event.error()
        elif event.reason == "cancelled":
            raise ClientLeft
    return total
