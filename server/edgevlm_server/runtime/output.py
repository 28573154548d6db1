"""What comes out of sequences: tokens and an end from the batcher, as text for whoever waits. Event loop only.

A `Ticket` receives one sequence's events, an `Answer` makes text of them, and `Choices` are the answers to one
request side by side. Knows no engine, no wire shapes and no HTTP.
"""

import asyncio
import time
from abc import ABC, abstractmethod
from collections import abc
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

from edgevlm_server.errors import AnswerTimeout, Refusal
from edgevlm_server.observe.metrics import Metrics
from edgevlm_server.refusals import NOT_SURE, Judge, Refused
from edgevlm_server.runtime.logprobs import Logprobs
from edgevlm_server.runtime.sequence import Sequence
from edgevlm_server.runtime.written import TokenTexts, Written
from edgevlm_server.text.detokenizer import Detokenizer
from edgevlm_server.text.tokenizer import Tokenizer

FinishReason = Literal["stop", "length"]
EarlyReason = Literal["stop", "cancelled"]
Reason = Literal["stop", "length", "cancelled", "error"]


class ClientLeft(Exception):
    """Nobody waits for this answer any more."""


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


@dataclass(frozen=True, slots=True)
class Usage:
    """Positions of the prompt, how many of them had been computed before, and tokens of the answer."""

    prompt: int
    cached: int
    completion: int


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
        self._metrics.answered(self.confidence, self.refused)
        known = replace(whole if self._judge.least else last, confidence=self.confidence, refused=self.refused)
        if self.refused != "low_confidence":
            return known
        # what stands there now is whole
        return replace(known, text="", tokens=(), finish_reason="stop", refusal=NOT_SURE, withheld=whole.text)

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
