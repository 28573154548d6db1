"""How many requests are inside, and when to come back. Event loop only; no threads, no HTTP."""

import math
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import TypeVar

from edgevlm_server.errors import QueueFull, RateLimited
from edgevlm_server.runtime.bodies import Arriving, Bodies
from edgevlm_server.runtime.limits import ClientLimits

Result = TypeVar("Result")

KEPT = 8
"""One in so many places of the queue is kept for clients who have nothing inside."""


class Place:
    """What one request takes: a place an answer. Leaving twice is harmless, so every road out may do it."""

    def __init__(self, leave: Callable[["Place", bool], None], client: str, count: int, turns: float) -> None:
        self.since = time.monotonic()
        self.client = client
        self.count = count
        self.turns = turns
        """How often the slots change until it is through: once if it need not wait."""
        self._leave: Callable[[Place, bool], None] | None = leave

    def leave(self, *, served: bool) -> None:
        """Give the place to the next one; only requests that were `served` tell how long others must wait."""
        if self._leave is not None:
            leave, self._leave = self._leave, None
            leave(self, served)


class Admission:
    """Counts requests with a whole body until their end: `slots` that can run and `queue` that may wait.

    A request whose body is still on its way has no place, so that slow senders cannot take them all. The number of
    large ones is bounded as well, and the slowest of them gives way to a newcomer. A part of the queue is
    kept for clients who have nothing inside, so that one with many requests does not lock out the others.
    """

    def __init__(
        self, slots: int, queue: int, limits: ClientLimits | None = None, most_of_one: int | None = None
    ) -> None:
        """`most_of_one` is how many requests of one client may be inside; `None` is no limit."""
        self.slots = slots
        """May be set until the first request comes: an engine can have fewer than were asked for."""
        self.limits = limits or ClientLimits()
        self._queue = queue
        self._most_of_one = most_of_one
        self._inside = 0
        self._requests: Counter[str] = Counter()
        """Those inside, by client."""
        self.bodies = Bodies(lambda: self.limit, lambda: QueueFull(self.retry_after()))
        self._seconds = 1.0
        """How long a served request stays once it has a slot, smoothed; 1 s until one has been seen."""

    @property
    def inside(self) -> int:
        """Places that are taken: one for each answer that a request asks for."""
        return self._inside

    @property
    def limit(self) -> int:
        """Places that there are."""
        return self.slots + self._queue

    async def receive(self, client: str, read: Callable[[Arriving], Awaitable[Result]]) -> Result:
        """Read a body, unless it would be refused anyway.

        Raises `QueueFull`, `RateLimited`, `RequestTimeout` for a slow body in the way of others, or what `bodies` are
        given up with.
        """
        self._check(client, 1)
        self.limits.begin(client)
        return await self.bodies.read(client, read)

    def enter(self, client: str, count: int = 1) -> Place:
        """Take a place for each of `count` answers.

        Raises `QueueFull` with an estimate of when one will be free, or `RateLimited`.
        """
        self._check(client, count)
        self._inside += count
        self._requests[client] += 1
        return Place(self._left, client, count, self._turns)

    def retry_after(self) -> int:
        """Seconds until the requests inside have passed through the slots, 1 to 60 as client libraries take it."""
        return min(60, max(1, math.ceil(self._seconds * self._turns)))

    @property
    def _turns(self) -> float:
        return max(1.0, self._inside / self.slots)

    def _check(self, client: str, count: int) -> None:
        inside = self._requests[client]
        if self._most_of_one is not None and inside >= self._most_of_one:
            text = f"This client has {inside} requests under way, as many as it may have"
            raise RateLimited(text, self.retry_after())
        kept = self._queue // KEPT if inside else 0
        if self._inside + count > self.limit - kept:
            raise QueueFull(self.retry_after())

    def _left(self, place: Place, served: bool) -> None:
        self._inside -= place.count
        self._requests[place.client] -= 1
        if not self._requests[place.client]:
            del self._requests[place.client]
        if served:
            # its time inside is that of the others before it, too
            self._seconds += 0.2 * ((time.monotonic() - place.since) / place.turns - self._seconds)
