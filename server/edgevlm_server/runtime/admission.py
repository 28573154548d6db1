"""How many requests are inside, and when to come back. Event loop only; no threads, no HTTP."""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from edgevlm_server.errors import QueueFull, RateLimited, Refusal, RequestTimeout, Unavailable
from edgevlm_server.runtime.limits import ClientLimits

Result = TypeVar("Result")

KEPT = 8
"""One in so many places of the queue is kept for clients who have nothing inside."""

GRACE_SECONDS = 1.0
"""So long every body may take on its way, however many others want to come in."""


class Place:
    """What one request takes: a place an answer. Leaving twice is harmless, so every road out may do it."""

    def __init__(self, leave: Callable[["Place", bool], None], client: str, count: int) -> None:
        self.since = time.monotonic()
        self.client = client
        self.count = count
        self._leave: Callable[[Place, bool], None] | None = leave

    def leave(self, *, served: bool) -> None:
        """Give the place to the next one; only requests that were `served` tell how long others must wait."""
        if self._leave is not None:
            leave, self._leave = self._leave, None
            leave(self, served)


class Work:
    """What a request waits for before it is queued. Whoever gives it up says why."""

    def __init__(self) -> None:
        self._reason: Exception | None = None
        self._task: asyncio.Future[Any] | None = None

    def give_up(self, reason: Exception) -> None:
        """End it with this exception. Harmless when it is over; the first reason counts."""
        if self._reason is None:
            self._reason = reason
            if self._task is not None:
                self._task.cancel()

    async def do(self, what: Callable[[], Awaitable[Result]]) -> Result:
        """Do it, unless it is given up before or meanwhile; then the reason is raised."""
        if self._reason is not None:
            raise self._reason
        self._task = asyncio.ensure_future(what())
        try:
            result: Result = await self._task
            return result
        except asyncio.CancelledError:
            if self._reason is not None:
                raise self._reason from None
            raise


class Arriving(Work):
    """A body on its way."""

    def __init__(self) -> None:
        super().__init__()
        self.since = time.monotonic()
        self.size = 0
        """Bytes that are there; whoever reads the body counts them."""

    def speed(self, now: float) -> float:
        """Bytes a second so far."""
        return self.size / (now - self.since)


class Admission:
    """Counts requests with a whole body until their end: `slots` that can run and `queue` that may wait.

    A request whose body is still on its way has no place, so that slow senders cannot take them all. Their number is
    bounded by the same limit, and the slowest of them gives way to a newcomer. A part of the queue is kept for
    clients who have nothing inside, so that one with many requests does not lock out the others.
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
        self._bodies: set[Arriving] = set()
        self._seconds = 1.0
        """How long a served request stays, smoothed; 1 s until one has been seen."""

    @property
    def inside(self) -> int:
        """Places that are taken: one for each answer that a request asks for."""
        return self._inside

    @property
    def arriving(self) -> int:
        """Requests whose body is on its way."""
        return len(self._bodies)

    @property
    def limit(self) -> int:
        """Places that there are."""
        return self.slots + self._queue

    async def receive(self, client: str, read: Callable[[Arriving], Awaitable[Result]]) -> Result:
        """Read a body, unless it would be refused anyway.

        Raises `QueueFull`, `RateLimited`, `Unavailable` in a drain, or `RequestTimeout` for a slow body in the way of
        others.
        """
        self._check(client, 1)
        if len(self._bodies) >= self.limit and not self._give_up_the_slowest():
            raise QueueFull(self.retry_after())
        self.limits.begin(client)
        arriving = Arriving()
        self._bodies.add(arriving)
        try:
            return await arriving.do(lambda: read(arriving))
        finally:
            self._bodies.discard(arriving)

    def give_up_bodies(self, refusal: Refusal = Unavailable.draining) -> None:
        """Refuse every request whose body is not there yet."""
        while self._bodies:
            self._bodies.pop().give_up(refusal())

    def _give_up_the_slowest(self) -> bool:
        """Make room for a newcomer; false if all bodies have only just begun."""
        now = time.monotonic()
        old = [body for body in self._bodies if now - body.since >= GRACE_SECONDS]
        if not old:
            return False
        slowest = min(old, key=lambda body: body.speed(now))
        self._bodies.discard(slowest)
        slowest.give_up(
            RequestTimeout("The body arrived too slowly, and others were waiting.", code="request_timeout")
        )
        return True

    def enter(self, client: str, count: int = 1) -> Place:
        """Take a place for each of `count` answers.

        Raises `QueueFull` with an estimate of when one will be free, or `RateLimited`.
        """
        self._check(client, count)
        self._inside += count
        self._requests[client] += 1
        return Place(self._left, client, count)

    def retry_after(self) -> int:
        """Seconds until the requests inside have passed through the slots, 1 to 60 as client libraries take it."""
        return min(60, max(1, math.ceil(self._seconds * self._inside / self.slots)))

    def _check(self, client: str, count: int) -> None:
        inside = self._requests[client]
        if self._most_of_one is not None and inside >= self._most_of_one:
            text = f"This client has {inside} requests under way, as many as it may have"
            raise RateLimited(text, min(60, max(1, math.ceil(self._seconds))))
        kept = self._queue // KEPT if inside else 0
        if self._inside + count > self.limit - kept:
            raise QueueFull(self.retry_after())

    def _left(self, place: Place, served: bool) -> None:
        self._inside -= place.count
        self._requests[place.client] -= 1
        if not self._requests[place.client]:
            del self._requests[place.client]
        if served:
            self._seconds += 0.2 * (time.monotonic() - place.since - self._seconds)
