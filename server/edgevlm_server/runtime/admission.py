"""How many requests are inside, and when to come back. Event loop only; no threads, no HTTP."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from edgevlm_server.errors import QueueFull, Unavailable

Body = TypeVar("Body")


class Place:
    """What one request takes: a place an answer. Leaving twice is harmless, so every road out may do it."""

    def __init__(self, leave: Callable[["Place", bool], None], count: int) -> None:
        self.since = time.monotonic()
        self.count = count
        self._leave: Callable[[Place, bool], None] | None = leave

    def leave(self, *, served: bool) -> None:
        """Give the place to the next one; only requests that were `served` tell how long others must wait."""
        if self._leave is not None:
            leave, self._leave = self._leave, None
            leave(self, served)


class Admission:
    """Counts requests with a whole body until their end: `slots` that can run and `queue` that may wait.

    A request whose body is still on its way has no place, so that slow senders cannot take them all; their number
    is bounded by the same limit.
    """

    def __init__(self, slots: int, queue: int) -> None:
        self.slots = slots
        """May be set until the first request comes: an engine can have fewer than were asked for."""
        self._queue = queue
        self._inside = 0
        self._bodies: set[asyncio.Task[object]] = set()
        self._seconds = 1.0
        """How long a served request stays, smoothed; 1 s until one has been seen."""

    @property
    def inside(self) -> int:
        """Places that are taken: one for each answer that a request asks for."""
        return self._inside

    @property
    def limit(self) -> int:
        """Places that there are."""
        return self.slots + self._queue

    async def receive(self, read: Callable[[], Awaitable[Body]]) -> Body:
        """Read a body, unless it would be refused anyway. Raises `QueueFull`, or `Unavailable` in a drain."""
        if self._inside >= self.limit or len(self._bodies) >= self.limit:
            raise QueueFull(self.retry_after())
        task = asyncio.ensure_future(read())
        self._bodies.add(task)
        try:
            return await task
        except asyncio.CancelledError:
            if task not in self._bodies:
                raise Unavailable.draining() from None
            raise
        finally:
            self._bodies.discard(task)

    def give_up_bodies(self) -> None:
        """Refuse every request whose body is not there yet."""
        while self._bodies:
            self._bodies.pop().cancel()

    def enter(self, count: int = 1) -> Place:
        """Take a place for each of `count` answers. Raises `QueueFull` with an estimate of when one will be free."""
        if self._inside + count > self.limit:
            raise QueueFull(self.retry_after())
        self._inside += count
        return Place(self._left, count)

    def retry_after(self) -> int:
        """Seconds until the requests inside have passed through the slots, 1 to 60 as client libraries take it."""
        return min(60, max(1, math.ceil(self._seconds * self._inside / self.slots)))

    def _left(self, place: Place, served: bool) -> None:
        self._inside -= place.count
        if served:
            self._seconds += 0.2 * (time.monotonic() - place.since - self._seconds)
