"""What the batcher gives to whoever waits for a sequence: its tokens as they come, and one end. Event loop only.

Knows no text, no engine and no HTTP.
"""

import asyncio
import time
from collections import abc
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from edgevlm_server.errors import AnswerTimeout, Refusal
from edgevlm_server.runtime.logprobs import Logprobs
from edgevlm_server.runtime.sequence import Sequence

EarlyReason = Literal["stop", "cancelled"]
Reason = Literal["stop", "length", "cancelled", "error"]


@dataclass(frozen=True, slots=True)
class End:
    """The last event of a sequence. `error` makes the error to raise, if and only if `reason` is `error`."""

    reason: Reason
    error: Refusal | None = None
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
