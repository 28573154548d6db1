"""One answer on its way out: tokens become text and an end. Knows no HTTP; both shapes of response read from it."""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Literal

from edgevlm_server.batcher import End, Ticket
from edgevlm_server.metrics import Metrics
from edgevlm_server.text_stream import TextStream

FinishReason = Literal["stop", "length"]


class ClientLeft(Exception):
    """Nobody waits for this answer any more."""


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of text; the last one of an answer carries its `finish_reason`."""

    text: str
    finish_reason: FinishReason | None = None


class Answer:
    """Reads a ticket's events once, from the first to the last."""

    def __init__(self, ticket: Ticket, text: TextStream, metrics: Metrics, arrived: float) -> None:
        self._ticket = ticket
        self._text = text
        self._metrics = metrics
        self._arrived = arrived
        self.prompt_tokens = len(ticket.sequence.prompt)
        self.completion_tokens = 0

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
            (self._metrics.inter_token if self.completion_tokens else self._metrics.first_token).observe(now - last)
            last = now
            self.completion_tokens += 1
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
        self._metrics.request_prompt.observe(self.prompt_tokens)
        self._metrics.request_generation.observe(self.completion_tokens)
        text = self._text.finish()
        return Delta(text, "length" if end.reason == "length" and self._text.stopped is None else "stop")
