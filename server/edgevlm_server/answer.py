"""One answer on its way out: tokens become text and an end. Knows no HTTP; both shapes of response read from it."""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Literal

from edgevlm_server.metrics import Metrics
from edgevlm_server.text_stream import TextStream
from edgevlm_server.ticket import End, Ticket

FinishReason = Literal["stop", "length"]


class ClientLeft(Exception):
    """Nobody waits for this answer any more."""


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of text; the last one of an answer carries its `finish_reason`."""

    text: str
    finish_reason: FinishReason | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Positions of the prompt, how many of them had been computed before, and tokens of the answer."""

    prompt: int
    cached: int
    completion: int


class Answer:
    """Reads a ticket's events once, from the first to the last."""

    def __init__(self, ticket: Ticket, text: TextStream, metrics: Metrics, arrived: float) -> None:
        self._ticket = ticket
        self._text = text
        self._metrics = metrics
        self._arrived = arrived
        self._count = 0

    @property
    def usage(self) -> Usage:
        """Whole once the last delta is out."""
        sequence = self._ticket.sequence
        return Usage(len(sequence.prompt), sequence.reused, self._count)

    async def deltas(self) -> AsyncIterator[Delta]:
        """Pieces of text, then one with a finish reason. Raises `ApiError` if the engine failed, `ClientLeft`."""
        last, stopped = self._arrived, False
        async for event in self._ticket.events():
            if isinstance(event, End):
                yield self._last(event)
                return
            if stopped:
                continue  # the engine was a step ahead of the stop string
            now = time.monotonic()
            (self._metrics.inter_token if self._count else self._metrics.first_token).observe(now - last)
            last = now
            self._count += 1
            text = self._text.push(event)
            stopped = self._text.stopped is not None
            if stopped:
                self._ticket.end("stop")
            if text:
                yield Delta(text)

    def _last(self, end: End) -> Delta:
        # with its stop string the answer was whole, whatever became of the engine's next step
        if self._text.stopped is None:
            if end.error is not None:
                raise end.error
            if end.reason == "cancelled":
                raise ClientLeft
        self._metrics.end_to_end.observe(time.monotonic() - self._arrived)
        self._metrics.request_prompt.observe(self.usage.prompt)
        self._metrics.request_generation.observe(self.usage.completion)
        text = self._text.finish()
        return Delta(text, "length" if end.reason == "length" and self._text.stopped is None else "stop")
