"""Tokens and an end from the batcher, as text for whoever waits. Event loop only.

An `Answer` makes text of what one sequence's ticket brings, and `Choices` are the answers to one request side by
side. Knows no engine, no wire shapes and no HTTP.
"""

import asyncio
from abc import ABC, abstractmethod
from collections import abc
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from edgevlm_server.observe.metrics import Metrics
from edgevlm_server.refusals import NOT_SURE, Judge, Refused
from edgevlm_server.runtime.sequence import End, Ticket, Token
from edgevlm_server.runtime.written import TokenTexts, Written
from edgevlm_server.text.detokenizer import Detokenizer
from edgevlm_server.text.tokenizer import Tokenizer

FinishReason = Literal["stop", "length"]


class ClientLeft(Exception):
    """Nobody waits for this answer any more."""


@dataclass(frozen=True, slots=True)
class Output:
    """A piece of an answer's text, or all of it; the last piece carries what stands below the `finish_reason`.

    `tokens` are those that the text came from, if their probabilities were asked for: joined they are the text.
    """

    text: str
    finish_reason: FinishReason | None = None
    tokens: tuple[Written, ...] = ()
    confidence: float | None = None
    """Of the whole answer, 0 to 1."""
    refused: Refused | None = None
    """Why it is none."""
    refusal: str | None = None
    """What stands in place of the text."""
    withheld: str = ""
    """That text, which no client gets."""


class Usage(NamedTuple):
    """Positions of the prompt, how many of them had been computed before, and tokens of the answer."""

    prompt: int
    cached: int
    completion: int


class Answer:
    """Reads a ticket's events once, from the first to the last."""

    def __init__(
        self,
        ticket: Ticket,
        tokenizer: Tokenizer,
        text: Detokenizer,
        judge: Judge,
        metrics: Metrics,
        arrived: float,
    ) -> None:
        self._ticket = ticket
        self._judge = judge
        self._text = text
        self._tokens = None if ticket.sequence.logprobs is None else TokenTexts(tokenizer, text)
        """The text's tokens, if their probabilities are asked for."""
        self._metrics = metrics
        self._arrived = arrived
        self._count = 0
        self._said: list[Output] = []
        """Its pieces so far."""
        self._whole: Output | None = None
        """All of it, once it has ended."""
        self.confidence = 1.0
        """Of what it has said so far."""
        self.refused: Refused | None = None
        """Why it is none; known at its end."""

    @property
    def number(self) -> int:
        """Which answer to its prompt it is, from 0."""
        return self._ticket.sequence.number

    @property
    def usage(self) -> Usage:
        """So far; whole once the last piece is out."""
        sequence = self._ticket.sequence
        return Usage(len(sequence.prompt), sequence.reused, self._count)

    @property
    def so_far(self) -> Output | None:
        """What it has come to; `None` before its first piece."""
        if self._whole is not None or not self._said:
            return self._whole
        return joined(self._said)

    async def pieces(self) -> AsyncIterator[Output]:
        """Pieces of text, then one with a finish reason. Raises `ApiError` if the engine failed, `ClientLeft`.

        An answer that may turn out not to be sure enough comes in one piece.
        """
        last, stopped = self._arrived, False
        async for event in self._ticket.events():
            if isinstance(event, End):
                yield self._last(event)
                return
            if stopped:
                continue  # the engine was a step ahead of the stop string
            (self._metrics.inter_token if self._count else self._metrics.first_token).observe(event.at - last)
            last = event.at
            self._count += 1
            self.confidence = event.confidence
            text, tokens = self._push(event)
            piece = Output(text, tokens=tokens)
            stopped = self._text.stopped is not None
            if stopped:
                self._ticket.end("stop")
            if piece.text:
                self._said.append(piece)
                if not self._judge.least:
                    yield piece

    def _last(self, end: End) -> Output:
        # with its stop string the answer was whole, whatever became of the engine's next step
        if self._text.stopped is None:
            if end.error is not None:
                raise end.error()
            if end.reason == "cancelled":
                raise ClientLeft
        self._metrics.end_to_end.observe(end.at - self._arrived)
        self._metrics.request_prompt.observe(self.usage.prompt)
        self._metrics.request_generation.observe(self.usage.completion)
        reason: FinishReason = "length" if end.reason == "length" and self._text.stopped is None else "stop"
        text, tokens = self._finish()
        return self._judged(Output(text, reason, tokens))

    def _judged(self, last: Output) -> Output:
        """The last piece, or the whole answer if nothing was let out before; or what stands in its place."""
        whole = joined([*self._said, last])
        self.refused = self._judge.refused(whole.text, self.confidence)
        self._metrics.answers.answered(self.confidence, self.refused)
        self._whole = replace(whole, confidence=self.confidence, refused=self.refused)
        if self.refused == "low_confidence":
            # what stands there now is whole
            self._whole = replace(
                self._whole, text="", tokens=(), finish_reason="stop", refusal=NOT_SURE, withheld=whole.text
            )
        return self._whole if self._judge.least else replace(self._whole, text=last.text, tokens=last.tokens)

    def _push(self, token: Token) -> tuple[str, tuple[Written, ...]]:
        if self._tokens is None or token.logprobs is None:
            return self._text.push(token.id), ()
        return self._tokens.push(token.id, token.logprobs)

    def _finish(self) -> tuple[str, tuple[Written, ...]]:
        return (self._text.finish(), ()) if self._tokens is None else self._tokens.finish()


class Choices(ABC):
    """The answers to one request, in the order of their index."""

    @abstractmethod
    def __len__(self) -> int: ...

    @property
    @abstractmethod
    def usage(self) -> Usage:
        """So far. A prompt counts once, however many answers it gets."""

    @abstractmethod
    def sureness(self, index: int) -> float:
        """How sure the model is of one of them, so far."""

    @property
    @abstractmethod
    def refused(self) -> Refused | None:
        """Why one of them is none."""

    @abstractmethod
    def so_far(self) -> dict[int, Output]:
        """What each has come to, by its index; those that have not begun are left out."""

    @abstractmethod
    def pieces(self) -> AsyncGenerator[tuple[int, Output], None]:
        """Pieces of all answers as they come, each with the index of its answer."""

    @property
    def confidence(self) -> float:
        """So far, of the one that is least sure."""
        return min(map(self.sureness, range(len(self))))

    async def whole(self) -> list[Output]:
        """Every answer to its end. Raises what `pieces` raises."""
        pieces: list[list[Output]] = [[] for _ in range(len(self))]
        async for index, piece in self.pieces():
            pieces[index].append(piece)
        return [joined(one) for one in pieces]


class SideBySide(Choices):
    """Each a sequence of its own."""

    def __init__(self, answers: abc.Sequence[Answer]) -> None:
        self._answers = tuple(answers)

    def __len__(self) -> int:
        return len(self._answers)

    @property
    def usage(self) -> Usage:
        """So far. A prompt counts once, however many answers it gets."""
        each = [answer.usage for answer in self._answers]
        first = [answer.usage for answer in self._answers if answer.number == 0]
        return Usage(
            prompt=sum(usage.prompt for usage in first),
            cached=sum(usage.cached for usage in first),
            completion=sum(usage.completion for usage in each),
        )

    def sureness(self, index: int) -> float:
        """Of the tokens so far."""
        return self._answers[index].confidence

    @property
    def refused(self) -> Refused | None:
        """Why one of them is none."""
        return next((answer.refused for answer in self._answers if answer.refused is not None), None)

    def so_far(self) -> dict[int, Output]:
        """What each has come to, by its index; those that have not begun are left out."""
        return {index: said for index, one in enumerate(self._answers) if (said := one.so_far) is not None}

    async def pieces(self) -> AsyncGenerator[tuple[int, Output], None]:
        """Pieces of all answers as they come, each with the index of its answer."""
        if len(self._answers) == 1:
            async for piece in self._answers[0].pieces():
                yield 0, piece
            return
        streams = [answer.pieces() for answer in self._answers]
        reading = {_next(stream): index for index, stream in enumerate(streams)}
        try:
            while reading:
                done, _ = await asyncio.wait(reading, return_when=asyncio.FIRST_COMPLETED)
                for task in sorted(done, key=reading.__getitem__):
                    found = task.result()
                    index = reading.pop(task)
                    if found is not None:
                        reading[_next(streams[index])] = index
                        yield index, found
        finally:
            await _give_up(reading)


def joined(pieces: abc.Sequence[Output]) -> Output:
    """Pieces of one answer, the last of them included, as one."""
    text = "".join(piece.text for piece in pieces)
    return replace(pieces[-1], text=text, tokens=tuple(token for piece in pieces for token in piece.tokens))


def _next(stream: AsyncIterator[Output]) -> "asyncio.Task[Output | None]":
    """The next piece, `None` behind the last one."""

    async def read() -> Output | None:
        return await anext(stream, None)

    return asyncio.create_task(read())


async def _give_up(tasks: "dict[asyncio.Task[Output | None], int]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
