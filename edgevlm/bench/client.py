"""One streamed chat request, and when each part of its answer came. Knows no load and no statistics."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from edgevlm.bench.events import EventParser
from edgevlm.http_client import BrokenOff, ExchangeError, NoConnection, Server, TooSlow, exchange, read, within

OK = "ok"
NO_CONNECTION = "no connection"
TIMEOUT = "timeout"
BROKEN_OFF = "broken off"
STREAM_ERROR = "error in the stream"
NO_MODEL = "no model"

LONGEST_SECONDS = 600.0  # for one answer
LIST_SECONDS = 30.0  # for the list of models
MOST_OF_A_MESSAGE = 300  # characters

T = TypeVar("T")

_OUTCOMES: dict[type[ExchangeError], str] = {NoConnection: NO_CONNECTION, TooSlow: TIMEOUT, BrokenOff: BROKEN_OFF}


@dataclass(frozen=True, slots=True)
class Sample:
    """What became of one request. Times are seconds on its phase's clock, `pieces` when each piece of text came.

    `outcome` is `ok`, an HTTP status, or one of this file's words; `detail` is what the server said to it. Token
    counts are the server's own, `None` where it reports none.
    """

    intended: float
    sent: float
    ended: float
    outcome: str
    detail: str
    pieces: tuple[float, ...]
    prompt_tokens: int | None
    completion_tokens: int | None
    cached_tokens: int | None

    @property
    def time_to_first_token(self) -> float | None:
        """Seconds from when it should have been sent; `None` for an answer without text."""
        return self.pieces[0] - self.intended if self.pieces else None

    @property
    def gaps(self) -> list[float]:
        """Seconds between one piece of text and the next."""
        return [after - before for before, after in zip(self.pieces, self.pieces[1:], strict=False)]

    @property
    def end_to_end(self) -> float:
        """Seconds from when it should have been sent until its answer had come whole."""
        return self.ended - self.intended

    @property
    def tokens(self) -> int:
        """Tokens of the answer; where the server does not count them, the pieces that it sent."""
        return len(self.pieces) if self.completion_tokens is None else self.completion_tokens


class Failure(Exception):
    """An answer that is not what was asked for."""

    def __init__(self, outcome: str, detail: str) -> None:
        super().__init__(outcome)
        self.outcome = outcome
        self.detail = detail


class Reply:
    """An answer as far as it has come."""

    def __init__(self) -> None:
        self.pieces: list[float] = []
        self.usage: Any = None
        self.whole = False

    def take(self, data: str, now: float) -> None:
        """One event. Raises `Failure` for one that ends the answer badly."""
        if data == "[DONE]":
            self.whole = True
            return
        event = _parsed(data)
        if not isinstance(event, dict):
            raise Failure(BROKEN_OFF, "an event is not a JSON object")
        if event.get("error"):
            raise Failure(STREAM_ERROR, _message(event))
        self.usage = event.get("usage") or self.usage
        for choice in event.get("choices") or ():
            if _inside(choice, "delta", "content") or _inside(choice, "delta", "reasoning_content"):
                self.pieces.append(now)
            self.whole = self.whole or _inside(choice, "finish_reason") is not None


async def ask(
    server: Server, body: bytes, intended: float, now: Callable[[], float], timeout: float = LONGEST_SECONDS
) -> Sample:
    """Send one request and read its answer to the end; whatever goes wrong is a sample too."""
    reply, sent = Reply(), now()
    outcome, detail = OK, ""
    try:
        await _guarded(_converse(server, body, reply, now), timeout)
    except Failure as failure:
        outcome, detail = failure.outcome, failure.detail
    return Sample(
        intended=intended,
        sent=sent,
        ended=now(),
        outcome=outcome,
        detail=detail,
        pieces=tuple(reply.pieces),
        prompt_tokens=_count(reply.usage, "prompt_tokens"),
        completion_tokens=_count(reply.usage, "completion_tokens"),
        cached_tokens=_count(reply.usage, "prompt_tokens_details", "cached_tokens"),
    )


async def first_model(server: Server) -> str:
    """The name of the first model that the server lists. Raises `Failure`."""
    listed = await _guarded(_models(server), LIST_SECONDS)
    try:
        return str(listed["data"][0]["id"])
    except (KeyError, IndexError, TypeError):
        raise Failure(NO_MODEL, "") from None


async def _guarded(work: Awaitable[T], timeout: float) -> T:
    """Whatever can go wrong with a server is a `Failure`, and nothing takes longer than `timeout` seconds."""
    try:
        return await within(timeout, work)
    except ExchangeError as error:
        raise Failure(_OUTCOMES[type(error)], str(error)) from None


async def _models(server: Server) -> Any:
    answer = await read(server, "GET", "/v1/models")
    listed = _parsed(answer.body)
    if answer.status != 200:
        raise Failure(str(answer.status), _message(listed))
    return listed


async def _converse(server: Server, body: bytes, reply: Reply, now: Callable[[], float]) -> None:
    async with exchange(server, "POST", "/v1/chat/completions", body) as response:
        if response.status != 200:
            raise Failure(str(response.status), _message(_parsed(await response.body())))
        events = EventParser()
        async for piece in response.pieces():
            arrived = now()
            for data in events.feed(piece):
                reply.take(data, arrived)
    if not reply.whole:
        raise Failure(BROKEN_OFF, "the answer is incomplete, or not a stream")


def _parsed(text: str | bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _message(body: Any) -> str:
    """The text in OpenAI's shape of an error, and in those of servers that differ from it."""
    said = _inside(body, "error", "message") or _inside(body, "error") or _inside(body, "message")
    # it will be printed: on one line, and nothing that a terminal acts on
    line = " ".join(said.split()) if isinstance(said, str) else ""
    return "".join(character for character in line if character.isprintable())[:MOST_OF_A_MESSAGE]


def _count(usage: Any, *path: str) -> int | None:
    found = _inside(usage, *path)
    return found if isinstance(found, int) else None


def _inside(body: Any, *path: str) -> Any:
    """The value at a path in nested JSON objects, `None` if one of them is missing or is no object."""
    for key in path:
        body = body.get(key) if isinstance(body, dict) else None
    return body
