"""One streamed chat request, and when each part of its answer came. Knows no load and no statistics."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edgevlm.bench.events import EventParser
from edgevlm.exchange_failure import BROKEN_OFF, Failure, guarded, inside, message, parsed
from edgevlm.http_client import Server, exchange

OK = "ok"
STREAM_ERROR = "error in the stream"

LONGEST_SECONDS = 600.0  # for one answer


@dataclass(frozen=True, slots=True)
class Sample:
    """What became of one request. Times are seconds on its phase's clock, `pieces` when each piece of text came.

    `outcome` is `ok`, or that of a `Failure` with its `detail`. Token counts are the server's own, `None` where it
    reports none.
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
        event = parsed(data)
        if not isinstance(event, dict):
            raise Failure(BROKEN_OFF, "an event is not a JSON object")
        if event.get("error"):
            raise Failure(STREAM_ERROR, message(event))
        self.usage = event.get("usage") or self.usage
        for choice in event.get("choices") or ():
            if inside(choice, "delta", "content") or inside(choice, "delta", "reasoning_content"):
                self.pieces.append(now)
            self.whole = self.whole or inside(choice, "finish_reason") is not None


async def ask(
    server: Server, body: bytes, intended: float, now: Callable[[], float], timeout: float = LONGEST_SECONDS
) -> Sample:
    """Send one request and read its answer to the end; whatever goes wrong is a sample too."""
    reply, sent = Reply(), now()
    outcome, detail = OK, ""
    try:
        await guarded(_converse(server, body, reply, now), timeout)
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


async def _converse(server: Server, body: bytes, reply: Reply, now: Callable[[], float]) -> None:
    async with exchange(server, "POST", "/v1/chat/completions", body) as response:
        if response.status != 200:
            raise Failure(str(response.status), message(parsed(await response.body())))
        events = EventParser()
        async for piece in response.pieces():
            arrived = now()
            for data in events.feed(piece):
                reply.take(data, arrived)
    if not reply.whole:
        raise Failure(BROKEN_OFF, "the answer is incomplete, or not a stream")


def _count(usage: Any, *path: str) -> int | None:
    found = inside(usage, *path)
    return found if isinstance(found, int) else None
