"""What a request waits for before it is queued, and how that ends early. Event loop only; no threads, no HTTP."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

Result = TypeVar("Result")


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
        finally:
            self._task = None  # and with it what came of it
