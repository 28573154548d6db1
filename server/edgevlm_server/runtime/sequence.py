"""One answer as the scheduler sees it, a sequence, and as whoever waits for it does, a ticket; no text, no HTTP.

A sequence is the one thing that changes while it runs. The same beginning of a prompt is always cut in the same
places, whatever follows and whatever of it is known already. To a ticket the batcher gives tokens as they come, and
one end; it is for the event loop only.
"""

import asyncio
import math
import time
from collections import abc
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
from edgevlm_engines import IMAGE_TOKEN, Floats, Tokens

from edgevlm_server.errors import AnswerTimeout, MakeError
from edgevlm_server.guided.constraint import Constraint
from edgevlm_server.observe.labels import EndReason
from edgevlm_server.runtime.logits_processors import LogitsProcessors
from edgevlm_server.runtime.logprobs import Logprobs
from edgevlm_server.runtime.sampling import Sampler, SamplingParams

EarlyReason = Literal["stop", "cancelled"]


@dataclass(slots=True, eq=False)
class Sequence:
    """A prompt, what may follow it, and how far it has come.

    `prompt` `[n]` holds token ids and `IMAGE_TOKEN`; `features` `[k, hidden_size]` are those image positions' values,
    `images` the SHA-256 of the files that they were made from. Of several answers to one request each has a `number`.
    """

    prompt: Tokens
    features: Floats
    max_tokens: int
    stop_ids: frozenset[int]
    sampling: SamplingParams = field(default_factory=SamplingParams)
    images: tuple[str, ...] = ()
    min_tokens: int = 0
    constraint: Constraint | None = None
    logprobs: int | None = None
    """Report each token's probability, and so many of the likeliest tokens'; `None`: do not."""
    number: int = 0
    client: str = ""
    """Who waits for it, in any words: clients are served in turn."""

    slot: int = -1
    """The engine slot it owns; -1 while it waits."""
    computed: int = 0
    """Prompt positions that are in the cache."""
    reused: int = 0
    """How many of those were copied from an earlier prompt."""
    began: float | None = None
    """When it got its slot, of the monotonic clock."""
    prefilled: float | None = None
    """When its first token was there."""
    generated: list[int] = field(default_factory=list)
    logprob: float = 0.0
    """Of all that is generated, under the model's own distribution at the temperature of confidence: the natural
    logarithm."""
    sampler: Sampler = field(init=False)

    def __post_init__(self) -> None:
        self.sampler = Sampler(self.sampling, self._processors(), self.number)

    @property
    def prompt_left(self) -> int:
        """Prompt positions that are not yet in the cache."""
        return len(self.prompt) - self.computed

    @property
    def cached(self) -> int:
        """Positions in the cache: the token generated last is fed with the next decode."""
        return self.computed + max(len(self.generated) - 1, 0)

    @property
    def confidence(self) -> float:
        """How likely the model was, by itself, to say what it has said so far: the product over its tokens.

        Its logits are divided by the bundle's `confidence_temperature` first.
        """
        return math.exp(self.logprob)

    @property
    def finish_reason(self) -> Literal["stop", "length"] | None:
        """`stop` after an end token or a complete form, `length` when no more tokens are allowed, else `None`."""
        if self.generated and self.generated[-1] in self.stop_ids:
            return "stop"
        if self.generated and self.constraint is not None and self.constraint.complete:
            return "stop"
        return "length" if len(self.generated) >= self.max_tokens else None

    def take(self, token: int, logprob: float) -> None:
        """Go on to the next token; `logprob` is that of `self.logprob`'s distribution."""
        self.generated.append(token)
        self.logprob += logprob

    def chunk(self, size: int) -> tuple[Tokens, Floats]:
        """The next call's prompt positions, `size` at most, with the features of the images among them."""
        tokens = self.prompt[self.computed : chunk_end(self.prompt, self.computed, size)]
        before = int(np.count_nonzero(self.prompt[: self.computed] == IMAGE_TOKEN))
        inside = int(np.count_nonzero(tokens == IMAGE_TOKEN))
        return tokens, self.features[before : before + inside]

    def _processors(self) -> LogitsProcessors | None:
        """An answer that asks for none of them costs nothing."""
        if not (self.sampling.penalised or self.sampling.logit_bias or self.min_tokens or self.constraint):
            return None
        return LogitsProcessors(
            self.sampling,
            self.prompt,
            end_ids=self.stop_ids,
            min_tokens=self.min_tokens,
            constraint=self.constraint,
        )


def chunk_end(prompt: Tokens, start: int, size: int) -> int:
    """Where the call that begins at `start` ends: after `size` positions, where pictures end, or with the prompt.

    Where pictures end, because questions about the same picture differ from there on.
    """
    is_image = prompt[start : start + size + 1] == IMAGE_TOKEN
    ends = np.flatnonzero(is_image[:-1] & ~is_image[1:])
    return start + int(ends[0]) + 1 if len(ends) else min(start + size, len(prompt))


def chunk_ends(prompt: Tokens, size: int) -> list[int]:
    """Ends of the calls that a longer prompt with this beginning has too: all but the last if that may grow."""
    ends: list[int] = []
    start = 0
    while start < len(prompt):
        end = chunk_end(prompt, start, size)
        if end == len(prompt) and end - start < size:
            break
        ends.append(end)
        start = end
    return ends


@dataclass(frozen=True, slots=True)
class End:
    """The last event of a sequence. `error` makes the error to raise, if and only if `reason` is `error`."""

    reason: EndReason
    error: MakeError | None = None
    at: float = field(default_factory=time.monotonic, compare=False)
    """When it came about, of the monotonic clock: it may be read much later."""


class Token(NamedTuple):
    """One token of an answer, with its probability if the sequence asks for it.

    `at` is when it was chosen, of the monotonic clock: it may be read much later.
    """

    id: int
    at: float
    logprobs: Logprobs | None = None
    confidence: float = 1.0
    """Of the answer up to this token, see `Sequence.confidence`."""


Event = Token | End


class Ticket:
    """`ask_to_end` is called with the ticket and a reason when the sequence is to end early."""

    def __init__(self, sequence: Sequence, ask_to_end: "Callable[[Ticket, EarlyReason], None]") -> None:
        self.sequence = sequence
        self.since: float | None = None
        """From when its time counts, of the monotonic clock; `None`: from its request's arrival."""
        self._ask_to_end = ask_to_end
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._callbacks: list[Callable[[End], None]] = []
        self._end: End | None = None

    def when_ended(self, callback: Callable[[End], None]) -> None:
        """Call `callback` when the end is delivered, at once if it already was."""
        if self._end is not None:
            callback(self._end)
        else:
            self._callbacks.append(callback)

    def end(self, reason: EarlyReason) -> None:
        """Ask for an early end. Its slot is free within a step; the `End` still comes. Harmless when it is over."""
        self._ask_to_end(self, reason)

    def expire(self) -> None:
        """Its time is up: that is its end, whenever the engine comes to it. Harmless when it is over."""
        self.deliver(End("error", AnswerTimeout))
        self.end("cancelled")

    async def events(self) -> AsyncIterator[Event]:
        """Tokens as they come, then one `End`."""
        while True:
            event = await self._events.get()
            yield event
            if isinstance(event, End):
                return

    def deliver(self, event: Event) -> None:
        """Called by the batcher. Nothing comes after the first end."""
        if self._end is not None:
            return
        self._events.put_nowait(event)
        if isinstance(event, End):
            self._end = event
            # each holds what its request holds: they must not outlive it here
            callbacks, self._callbacks = self._callbacks, []
            for callback in callbacks:
                callback(event)


def when_all_ended(tickets: abc.Sequence[Ticket], callback: Callable[[bool], None]) -> None:
    """Call `callback` when all have ended, with whether each got its whole answer."""
    ends: list[End] = []

    def ended(end: End) -> None:
        ends.append(end)
        if len(ends) == len(tickets):
            callback(all(one.reason in ("stop", "length") for one in ends))

    for ticket in tickets:
        ticket.when_ended(ended)
