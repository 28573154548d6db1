"""One answer on its way out: tokens become text and an end. Knows no HTTP; both shapes of response read from it."""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Literal

from edgevlm_server.metrics import Metrics
from edgevlm_server.runtime.logprobs import Logprobs
from edgevlm_server.runtime.ticket import End, Ticket
from edgevlm_server.text.detokenizer import Detokenizer

FinishReason = Literal["stop", "length"]


class ClientLeft(Exception):
    """Nobody waits for this answer any more."""


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of text; the last one of an answer carries its `finish_reason`.

    `tokens` are those that the text came from, if their probabilities were asked for: a token belongs to the piece
    that holds the first of its characters. Tokens that no text came from, such as the end token, belong to none.
    """

    text: str
    finish_reason: FinishReason | None = None
    tokens: tuple[Logprobs, ...] = ()


@dataclass(frozen=True, slots=True)
class Usage:
    """Positions of the prompt, how many of them had been computed before, and tokens of the answer."""

    prompt: int
    cached: int
    completion: int


class Answer:
    """Reads a ticket's events once, from the first to the last."""

    def __init__(self, ticket: Ticket, text: Detokenizer, metrics: Metrics, arrived: float) -> None:
        self._ticket = ticket
        self._text = text
        self._metrics = metrics
        self._arrived = arrived
        self._count = 0
        self._unseen: list[tuple[int, Logprobs]] = []
        """Tokens whose text is held back, with the character that each begins at."""

    @property
    def number(self) -> int:
        """Which answer to its prompt it is, from 0."""
        return self._ticket.sequence.number

    @property
    def usage(self) -> Usage:
        """So far; whole once the last delta is out."""
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
            if event.logprobs is not None:
                self._unseen.append((self._text.read, event.logprobs))
            text = self._text.push(event.id)
            stopped = self._text.stopped is not None
            if stopped:
                self._ticket.end("stop")
            if text:
                yield Delta(text, tokens=self._seen())

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
        reason: FinishReason = "length" if end.reason == "length" and self._text.stopped is None else "stop"
        return Delta(text, reason, self._seen())

    def _seen(self) -> tuple[Logprobs, ...]:
        """Tokens whose text has come out since the last time."""
        seen = tuple(logprobs for begin, logprobs in self._unseen if begin < self._text.shown)
        del self._unseen[: len(seen)]
        return seen
