"""Threads that take the work of clients in turn. Knows no pictures."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from edgevlm_server.errors import Unavailable
from edgevlm_server.fair_queue import FairQueue

Result = TypeVar("Result")


class FairPool:
    """Event loop only, but for `shutdown`."""

    def __init__(self, workers: int, name: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._pool = ThreadPoolExecutor(workers, name)
        self._idle = workers
        self._waiting: FairQueue[asyncio.Future[None]] = FairQueue()
        self._closed = False

    async def run(self, client: str, work: Callable[[], Result]) -> Result:
        """Do it in a thread when it is this client's turn. Raises `Unavailable` once the pool is closed."""
        return await self.run_what(client, lambda: work)

    async def run_what(self, client: str, choose: Callable[[], Callable[[], Result]]) -> Result:
        """The same with work that is chosen, on the event loop, only when the turn has come."""
        await self._turn(client)
        try:
            done = self._submit(choose())
        except BaseException:
            self._pass_on()
            raise
        done.add_done_callback(lambda _: self._loop.call_soon_threadsafe(self._pass_on))
        return await asyncio.wrap_future(done)

    def refuse(self) -> None:
        """Begin nothing more: what runs may end."""
        self._closed = True

    def shutdown(self) -> None:
        """Wait for what runs; `refuse` comes before."""
        self._pool.shutdown()

    def _submit(self, work: Callable[[], Result]) -> "Future[Result]":
        def unless_closed() -> Result:
            if self._closed:
                raise Unavailable.draining()
            return work()

        if self._closed:
            raise Unavailable.draining()
        return self._pool.submit(unless_closed)

    async def _turn(self, client: str) -> None:
        """Wait for a thread. Whoever gets one passes it on."""
        if self._idle:
            self._idle -= 1
            return
        turn: asyncio.Future[Any] = self._loop.create_future()
        self._waiting.add(client, turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._waiting.remove(client, turn)
            else:
                self._pass_on()  # it came at the same moment
            raise

    def _pass_on(self) -> None:
        while self._waiting:
            turn = self._waiting.take()
            if not turn.done():
                turn.set_result(None)
                return
        self._idle += 1
