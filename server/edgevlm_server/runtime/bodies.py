"""Bodies on their way: how much room large ones have, and which of them gives way. Event loop only; no HTTP."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import TypeVar

from edgevlm_server.errors import MakeError, RequestTimeout
from edgevlm_server.runtime.work import Work

Result = TypeVar("Result")

GRACE_SECONDS = 1.0
"""So long every body may take on its way, however many others want to come in."""
WAIT_SECONDS = 2.0
"""So long the next large body waits for one of the others to be given up."""
POLL_SECONDS = 0.05
ROOM = 0.25
"""Largest bodies for each place, at least one: the memory plan counts on it."""
SMALL_BODY = 65_536
"""Bytes of a body that are not counted: a connection holds as much anyway. Texts are smaller, and never wait."""


class Arriving(Work):
    """A body on its way; `enter` is called when it turns out to be a large one."""

    def __init__(self, client: str, enter: Callable[["Arriving"], Awaitable[None]]) -> None:
        super().__init__()
        self.client = client
        self.part = 0.0
        """Of the largest body that may be sent: how large it says that it is."""
        self.since = time.monotonic()
        self.size = 0
        """Bytes that are there."""
        self._enter: Callable[[Arriving], Awaitable[None]] | None = enter

    async def grow(self, size: int, part: float) -> None:
        """So many bytes are there; the whole is this part of the largest body that may be sent.

        Raises `QueueFull` if it is large, and none that are in its way can be given up.
        """
        self.size = size
        if size > SMALL_BODY and self._enter is not None:
            self.part = part
            enter, self._enter = self._enter, None
            await enter(self)
            self.since = time.monotonic()

    def speed(self, now: float) -> float:
        """Bytes a second so far."""
        return self.size / (now - self.since)


class Bodies:
    """All that are on their way."""

    def __init__(self, places: Callable[[], int], too_many: MakeError) -> None:
        """`places` says how many requests may be inside: room is a share of theirs."""
        self._places = places
        self._too_many = too_many
        self.arriving: set[Arriving] = set()
        self.large: set[Arriving] = set()
        self._waiting = 0
        """Large ones that are to be read further."""

    async def read(self, client: str, read: Callable[[Arriving], Awaitable[Result]]) -> Result:
        """Read one. Raises `RequestTimeout` for a slow one in the way of others, and what `too_many` makes."""
        arriving = Arriving(client, self._enter)
        self.arriving.add(arriving)
        try:
            return await arriving.do(lambda: read(arriving))
        finally:
            self.arriving.discard(arriving)
            self.large.discard(arriving)

    def give_up(self, refusal: MakeError) -> None:
        """Refuse every request whose body is not there yet."""
        while self.arriving:
            self.arriving.pop().give_up(refusal())

    async def _enter(self, newcomer: Arriving) -> None:
        """Count it as a large one, as soon as there is room."""
        until = time.monotonic() + WAIT_SECONDS
        self._waiting += 1
        try:
            while not self._has_room(newcomer):
                if self._make_room(newcomer):
                    continue
                if self._waiting > self._places() or time.monotonic() > until:
                    raise self._too_many()
                await asyncio.sleep(POLL_SECONDS)
        finally:
            self._waiting -= 1
        self.large.add(newcomer)

    def _has_room(self, newcomer: Arriving) -> bool:
        """Whether it fits beside the others."""
        taken = sum(body.part for body in self.large)
        return taken + newcomer.part <= max(1.0, ROOM * self._places())

    def _make_room(self, newcomer: Arriving) -> bool:
        """Give up the slowest that may be; false if there is none."""
        now = time.monotonic()
        slowest = min(self._may_be_given_up(newcomer, now), key=lambda body: body.speed(now), default=None)
        if slowest is None:
            return False
        self.large.discard(slowest)
        slowest.give_up(
            RequestTimeout(
                "The body was still on its way, and others needed the room; send it again.", code="request_timeout"
            )
        )
        return True

    def _may_be_given_up(self, newcomer: Arriving, now: float) -> list[Arriving]:
        """Those of clients who have more than the newcomer would have, else all that have had their time."""
        of = Counter(body.client for body in self.large)
        crowding = [body for body in self.large if of[body.client] > of[newcomer.client] + 1]
        return crowding or [body for body in self.large if now - body.since >= GRACE_SECONDS]
