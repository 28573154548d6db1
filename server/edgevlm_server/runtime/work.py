"""What a request waits for before it is queued, and what ends it early. Event loop only; no threads, no HTTP."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from edgevlm_server.errors import AnswerTimeout, MakeError

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


class EarlyEnd:
    """What may end a request early. It comes once or never; from `stop` on nobody hears of it."""

    def __init__(self, reason: MakeError) -> None:
        """`reason` makes what is raised by work that is given up for it."""
        self.here = False
        self._reason = reason
        self._callbacks: list[Callable[[], object]] = []

    def when_here(self, callback: Callable[[], object]) -> None:
        """Call `callback` when it comes, at once if it already has."""
        if self.here:
            callback()
        else:
            self._callbacks.append(callback)

    def ends(self, work: Work) -> Work:
        """The same work, which is given up when it comes."""
        self.when_here(lambda: work.give_up(self._reason()))
        return work

    def come(self) -> None:
        """It comes now."""
        self.here = True
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def stop(self) -> None:
        """The answer is complete, or there will be none. Harmless when it is over."""
        self._callbacks.clear()


class Deadline(EarlyEnd):
    """The end of a request's time, which runs from now on; with `None` seconds it never comes."""

    def __init__(self, seconds: float | None) -> None:
        super().__init__(AnswerTimeout)
        self._timer = None if seconds is None else asyncio.get_running_loop().call_later(seconds, self.come)

    @contextmanager
    def begun(self) -> Iterator[None]:
        """Stop if the block raises: there will be no answer. Else whoever owns the answer does."""
        try:
            yield
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        super().stop()

    async def within(self, what: Callable[[], Awaitable[Result]]) -> Result:
        """Do it, unless the time is up before or meanwhile. Raises `AnswerTimeout` then."""
        return await (what() if self._timer is None else self.ends(Work()).do(what))
