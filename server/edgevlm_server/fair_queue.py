"""Who waits is served in turn: one of each client, round and round. Plain Python: no requests, threads or clock.

Between two things of one client comes at most one of each other, so nobody waits behind all that another has sent.
"""

from collections import OrderedDict, deque
from contextlib import suppress
from typing import Generic, TypeVar

T = TypeVar("T")


class FairQueue(Generic[T]):
    """What waits, first come first served within a client. A client is any text; who is new comes last."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, deque[T]] = OrderedDict()
        """By client, in the order of their turns; no queue is empty."""

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, client: str, item: T) -> None:
        """Put it behind what else waits of the client."""
        self._waiting.setdefault(client, deque()).append(item)

    def take(self) -> T:
        """The first of the client whose turn it is, whose next turn comes after all others'."""
        client, queue = self._waiting.popitem(last=False)
        item = queue.popleft()
        if queue:
            self._waiting[client] = queue
        return item

    def remove(self, client: str, item: T) -> None:
        """It waits no more; the client's turn stays where it is. Harmless if it did not wait."""
        queue = self._waiting.get(client, deque())
        with suppress(ValueError):
            queue.remove(item)
        if not queue:
            self._waiting.pop(client, None)
