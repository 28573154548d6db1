"""Why a server has no answer to give: a word for tables, a sentence for a person. Knows no load and no questions."""

import json
from collections.abc import Awaitable
from typing import Any, TypeVar

from edgevlm.http_client import BrokenOff, ExchangeError, NoConnection, Server, TooSlow, within

NO_CONNECTION = "no connection"
TIMEOUT = "timeout"
BROKEN_OFF = "broken off"

MOST_OF_A_MESSAGE = 300  # characters

T = TypeVar("T")

_OUTCOMES: dict[type[ExchangeError], str] = {NoConnection: NO_CONNECTION, TooSlow: TIMEOUT, BrokenOff: BROKEN_OFF}


class Failure(Exception):
    """An answer that is not what was asked for: `outcome` is an HTTP status or a word, `detail` says more."""

    def __init__(self, outcome: str, detail: str) -> None:
        super().__init__(outcome)
        self.outcome = outcome
        self.detail = detail


async def guarded(work: Awaitable[T], timeout: float) -> T:
    """Whatever can go wrong with a server is a `Failure`, and nothing takes longer than `timeout` seconds."""
    try:
        return await within(timeout, work)
    except ExchangeError as error:
        raise Failure(_OUTCOMES[type(error)], str(error)) from None


def sentence(server: Server, outcome: str, detail: str, verb: str = "used") -> str:
    """Why the first answer of a server is none; where that has no words of its own, it cannot be `verb`."""
    said = f": {detail.rstrip('.')}" if detail else ""
    if outcome == NO_CONNECTION:
        return f"{server.url} cannot be reached{said}."
    if outcome in ("401", "403"):
        wanted = "requires an API key; see --key-file" if server.key is None else "does not accept this API key"
        return f"{server.url} {wanted} ({outcome}{said})."
    if outcome == "404":
        return f"{server.url} has no such model, or no chat endpoint under {server.prefix}/v1 ({outcome}{said})."
    return f"{server.url} cannot be {verb}: the first answer is {outcome}{said}."


def message(body: Any) -> str:
    """The text in OpenAI's shape of an error, and in those of servers that differ from it."""
    said = inside(body, "error", "message") or inside(body, "error") or inside(body, "message")
    # it will be printed: on one line, and nothing that a terminal acts on
    line = " ".join(said.split()) if isinstance(said, str) else ""
    return "".join(character for character in line if character.isprintable())[:MOST_OF_A_MESSAGE]


def parsed(text: str | bytes) -> Any:
    """`None` for what is no JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return None


def inside(body: Any, *path: str) -> Any:
    """The value at a path in nested JSON objects, `None` if one of them is missing or is no object."""
    for key in path:
        body = body.get(key) if isinstance(body, dict) else None
    return body
