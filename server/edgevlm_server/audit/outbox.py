"""What waits to be written: bounded in number and in bytes, and nobody who adds to it waits. Knows no files."""

import threading
from collections import deque
from typing import Generic, Protocol, TypeVar

MOST_ITEMS = 10_000
MOST_TAKEN = 100
MOST_TAKEN_BYTES = 2**18
"""Are taken out, but one at least: what is taken stays until it is written."""
OUTBOX_BYTES = 32 * 2**20
"""Of the audit; the memory plan counts them."""


class Sized(Protocol):
    @property
    def size(self) -> int:
        """Bytes of memory that it takes."""
        ...


Item = TypeVar("Item", bound=Sized)


class Outbox(Generic[Item]):
    """Safe from any thread; one thread takes."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._items: deque[tuple[Item, int]] = deque()
        self._closed = threading.Event()
        self._changed = threading.Condition()

    def put(self, item: Item) -> bool:
        """False if there is no room for it, or it is closed."""
        size = item.size
        with self._changed:
            full = len(self._items) >= MOST_ITEMS or self._bytes + size > self._most_bytes
            if full or self._closed.is_set():
                return False
            self._items.append((item, size))
            self._bytes += size
            self._changed.notify()
            return True

    def waiting(self, seconds: float) -> list[Item]:
        """The oldest, once there are any; none after so many seconds, or if it is closed and nothing is left.

        They count until they are `done`.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._closed.is_set(), seconds)
            taken: list[Item] = []
            total = 0
            for item, size in self._items:
                total += size
                if len(taken) == MOST_TAKEN or (taken and total > MOST_TAKEN_BYTES):
                    break
                taken.append(item)
            return taken

    def done(self, count: int) -> None:
        """So many of the oldest were dealt with."""
        with self._changed:
            for _ in range(count):
                _, size = self._items.popleft()
                self._bytes -= size

    def close(self) -> None:
        """Nothing more is taken in; what is there may still be taken out."""
        with self._changed:
            self._closed.set()
            self._changed.notify()

    def wait_closed(self, seconds: float) -> None:
        """Until it is closed, or for so many seconds, whatever is put in meanwhile."""
        self._closed.wait(seconds)

    @property
    def over(self) -> bool:
        """It is closed and nothing is left."""
        with self._changed:
            return self._closed.is_set() and not self._items

    def __len__(self) -> int:
        return len(self._items)
