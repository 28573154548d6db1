"""A submitted request on the event loop's side: tokens and the end arrive here. Knows no engine and no threads."""

import asyncio
from collections import abc
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from edgevlm_server.errors import ApiError
from edgevlm_server.runtime.logprobs import Logprobs
from edgevlm_server.runtime.sequence import Sequence

Reason = Literal["stop", "length", "cancelled", "error"]
EarlyReason = Literal["stop", "cancelled"]


@dataclass(frozen=True, slots=True)
class End:
    """The last event of a request. `error` is set if and only if `reason` is `error`."""

    reason: Reason
    error: ApiError | None = None


class Token(NamedTuple):
    """One token of an answer, with its probability if the sequence asks for it."""

    id: int
    logprobs: Logprobs | None = None


Event = Token | End


class Ticket:
    """`ask_to_end` is called with the ticket and a reason when the request is to end early."""

    def __init__(self, sequence: Sequence, ask_to_end: "Callable[[Ticket, EarlyReason], None]") -> None:
        self.sequence = sequence
        self._ask_to_end = ask_to_end
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._callbacks: list[Callable[[End], None]] = []
        self._end: End | None = None

    def when_ended(self, callback: Callable[[End], None]) -> None:
        """Call `callback` on the event loop when the end is delivered, at once if it already was."""
        if self._end is not None:
            callback(self._end)
        else:
            self._callbacks.append(callback)

    def end(self, reason: EarlyReason) -> None:
        """Ask for an early end. Its slot is free within a step; the `End` still comes. Harmless when it is over."""
        self._ask_to_end(self, reason)

    async def events(self) -> AsyncIterator[Event]:
        """Tokens as they come, then one `End`."""
        while True:
            event = await self._events.get()
            yield event
            if isinstance(event, End):
                return

    def deliver(self, event: Event) -> None:
        """Called on the event loop. Nothing comes after the first end."""
        if self._end is not None:
            return
        self._events.put_nowait(event)
        if isinstance(event, End):
            self._end = event
            for callback in self._callbacks:
                callback(event)


def when_all_ended(tickets: abc.Sequence[Ticket], callback: Callable[[bool], None]) -> None:
    """Call `callback` on the event loop when all have ended, with whether each got its whole answer."""
    ends: list[End] = []

    def ended(end: End) -> None:
        ends.append(end)
        if len(ends) == len(tickets):
            callback(all(one.reason in ("stop", "length") for one in ends))

    for ticket in tickets:
        ticket.when_ended(ended)
