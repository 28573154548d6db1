"""How many requests are inside, and when to come back. Decided before a body is read. Event loop only; no threads."""

import math
import time
from collections.abc import Callable

from edgevlm_server.errors import QueueFull


class Place:
    """One request's place. Leaving twice is harmless, so every road out may do it."""

    def __init__(self, leave: Callable[["Place"], None]) -> None:
        self.since = time.monotonic()
        self._leave: Callable[[Place], None] | None = leave

    def leave(self) -> None:
        """Give the place to the next one."""
        if self._leave is not None:
            leave, self._leave = self._leave, None
            leave(self)


class Admission:
    """Counts requests from arrival to end: `rows` that can run and `queue` that may wait."""

    def __init__(self, rows: int, queue: int) -> None:
        self._rows = rows
        self._limit = rows + queue
        self._inside = 0
        self._seconds = 1.0
        """How long a request stays, smoothed; 1 s until one has been seen."""

    @property
    def inside(self) -> int:
        """Requests that have a place."""
        return self._inside

    def enter(self) -> Place:
        """Take a place. Raises `QueueFull` with an estimate of when one will be free."""
        if self._inside >= self._limit:
            raise QueueFull(self.retry_after())
        self._inside += 1
        return Place(self._left)

    def retry_after(self) -> int:
        """Seconds until the requests inside have passed through the rows, 1 to 60 as client libraries take it."""
        return min(60, max(1, math.ceil(self._seconds * self._inside / self._rows)))

    def _left(self, place: Place) -> None:
        self._inside -= 1
        self._seconds += 0.2 * (time.monotonic() - place.since - self._seconds)
