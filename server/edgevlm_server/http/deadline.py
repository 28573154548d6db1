"""When a request's time is up, from its arrival to the last of its answer. Knows no HTTP and no inference."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from edgevlm_server.errors import AnswerTimeout
from edgevlm_server.runtime.work import Work

Result = TypeVar("Result")


class Deadline:
    """Runs from now on until `stop`; with `None` seconds it never comes."""

    def __init__(self, seconds: float | None) -> None:
        self._over = False
        self._callbacks: list[Callable[[], object]] = []
        self._timer = None if seconds is None else asyncio.get_running_loop().call_later(seconds, self._come)

    def when_over(self, callback: Callable[[], object]) -> None:
        """Call `callback` when the time is up, at once if it already is."""
        if self._over:
            callback()
        elif self._timer is not None:
            self._callbacks.append(callback)

    @contextmanager
    def begun(self) -> Iterator[None]:
        """Stop if the block raises: there will be no answer. Else whoever owns the answer does."""
        try:
            yield
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """The answer is complete, or there will be none. Harmless when it is over."""
        if self._timer is not None:
            self._timer.cancel()
        self._callbacks.clear()

    async def within(self, what: Callable[[], Awaitable[Result]]) -> Result:
        """Do it, unless the time is up before or meanwhile. Raises `AnswerTimeout` then."""
        if self._timer is None:
            return await what()
        return await self.end(Work()).do(what)

    def end(self, work: Work) -> Work:
        """The same work, which is given up when the time is up."""
        self.when_over(lambda: work.give_up(AnswerTimeout()))
        return work

    def _come(self) -> None:
        self._over = True
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()
