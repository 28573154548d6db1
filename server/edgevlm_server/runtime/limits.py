"""What each client has used of what it may use in a minute: requests and tokens. Event loop only; no HTTP.

Any 60 seconds count, not those of a clock, so that nobody has twice as much around a full minute, and the machine's
clock may be set meanwhile. How long an answer becomes is known at its end only: tokens are charged when they are
known, and whoever has used up the minute's waits with the next request. The last one may go beyond.
"""

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from edgevlm_server.errors import RateLimited

SECONDS = 60.0

MOST_CLIENTS = 1024
"""When there are more, those who have used nothing for a minute are forgotten, and again whenever their number has
doubled: addresses are without number."""

Clock = Callable[[], float]


class Minute:
    """Amounts that were used, and when; of the last 60 seconds."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._entries: deque[tuple[float, int]] = deque()
        self._sum = 0

    @property
    def used(self) -> int:
        """Their sum."""
        self._forget()
        return self._sum

    def add(self, amount: int) -> None:
        """Note what is used now."""
        self._forget()  # nobody may ever ask what is used
        self._entries.append((self._clock(), amount))
        self._sum += amount

    def wait(self, most: int) -> float:
        """Seconds until less than `most` is used, unless more is added."""
        left, until = self.used, self._clock()
        for then, amount in self._entries:
            if left < most:
                break
            left -= amount
            until = then + SECONDS
        return until - self._clock()

    def _forget(self) -> None:
        while self._entries and self._entries[0][0] <= self._clock() - SECONDS:
            self._sum -= self._entries.popleft()[1]


@dataclass(frozen=True, slots=True)
class PerMinute:
    """One kind of limit on one client: `name` as headers have it; `most` `None` is no limit."""

    name: str
    most: int | None
    minute: Minute

    def check(self) -> None:
        """Raises `RateLimited` with the seconds to wait."""
        if self.most is not None and (wait := self.minute.wait(self.most)) > 0:
            text = f"This client has used its {self.most} {self.name} a minute"
            raise RateLimited(text, math.ceil(wait), self.headers())

    def headers(self) -> dict[str, str]:
        """As client libraries know them from OpenAI's API."""
        if self.most is None:
            return {}
        return {
            f"x-ratelimit-limit-{self.name}": str(self.most),
            f"x-ratelimit-remaining-{self.name}": str(max(0, self.most - self.minute.used)),
            f"x-ratelimit-reset-{self.name}": f"{math.ceil(self.minute.wait(1))}s",
        }


class _Client:
    def __init__(self, requests: int | None, tokens: int | None, clock: Clock) -> None:
        self.requests = PerMinute("requests", requests, Minute(clock))
        self.tokens = PerMinute("tokens", tokens, Minute(clock))

    @property
    def idle(self) -> bool:
        return not (self.requests.minute.used or self.tokens.minute.used)


class ClientLimits:
    """The same for each client, which any text may name. `None` is no limit; without any, nothing is kept."""

    def __init__(self, requests: int | None = None, tokens: int | None = None, clock: Clock = time.monotonic) -> None:
        self._requests = requests
        self._tokens = tokens
        self._clock = clock
        self._clients: dict[str, _Client] = {}
        self._most = MOST_CLIENTS

    def begin(self, client: str) -> None:
        """Count a request. Raises `RateLimited`, and then counts nothing."""
        if found := self._find(client):
            found.requests.check()
            found.tokens.check()
            found.requests.minute.add(1)

    def charge(self, client: str, tokens: int) -> None:
        """Count tokens of a prompt, or of an answer."""
        if tokens and (found := self._find(client)):
            found.tokens.minute.add(tokens)

    def headers(self, client: str) -> dict[str, str]:
        """What an answer tells the client of its limits."""
        found = self._find(client)
        return {**found.requests.headers(), **found.tokens.headers()} if found else {}

    def _find(self, client: str) -> _Client | None:
        if self._requests is None and self._tokens is None:
            return None
        if client not in self._clients:
            if len(self._clients) >= self._most:
                self._clients = {name: one for name, one in self._clients.items() if not one.idle}
                self._most = max(MOST_CLIENTS, 2 * len(self._clients))
            self._clients[client] = _Client(self._requests, self._tokens, self._clock)
        return self._clients[client]
