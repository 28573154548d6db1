"""What has happened lately: rates over the last seconds, and the last requests. Knows records, no server.

Nothing here is asked for while a request runs: adding is a sum in a bucket, and all else is done when somebody looks.
"""

import time
from collections import deque
from collections.abc import Sequence

from edgevlm_server.observe.labels import OUTCOMES, Outcome
from edgevlm_server.observe.record import RequestRecord

WINDOW = 60
"""Seconds that are remembered."""

MOST_REQUESTS = 50


class Rate:
    """Sums by second; one thread adds, any may look."""

    def __init__(self) -> None:
        self._sums = [0.0] * (WINDOW + 1)
        self._seconds = [-1] * (WINDOW + 1)
        """Which second each sum is of."""

    def add(self, value: float, now: float | None = None) -> None:
        """`now` in seconds of the monotonic clock."""
        second = int(time.monotonic() if now is None else now)
        place = second % len(self._sums)
        if self._seconds[place] != second:
            self._seconds[place], self._sums[place] = second, 0.0
        self._sums[place] += value

    def total(self, seconds: int, now: float | None = None) -> float:
        """The sum of the last whole seconds, at most `WINDOW`; the one that is not over yet does not count."""
        second = int(time.monotonic() if now is None else now)
        pairs = zip(self._seconds, self._sums, strict=True)
        return sum(value for one, value in pairs if second - seconds <= one < second)


class Recent:
    """A reader of records."""

    def __init__(self) -> None:
        self.outcomes: dict[Outcome, Rate] = {outcome: Rate() for outcome in OUTCOMES}
        """Requests of the API that ended, by how they did."""
        self.prompt, self.cached = Rate(), Rate()
        """Prompt positions, and how many of them had been computed before."""
        self._last: deque[RequestRecord] = deque(maxlen=MOST_REQUESTS)

    @property
    def last(self) -> Sequence[RequestRecord]:
        """The newest first."""
        return tuple(reversed(self._last))

    def __call__(self, record: RequestRecord) -> None:
        """Note one that is over; what only looks, and was answered, is left out, and so is one of a crowd."""
        if record.quiet or (record.method in ("GET", "HEAD", "OPTIONS") and record.outcome == "ok"):
            return
        self.outcomes[record.outcome].add(1)
        self.prompt.add(record.prompt)
        self.cached.add(record.cached)
        self._last.append(record)
