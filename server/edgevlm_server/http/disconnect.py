"""Whether the client of a request is still there. Knows HTTP, no route and no inference."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from fastapi import Request
from starlette.requests import ClientDisconnect

from edgevlm_server.runtime.work import Work

LOOK_SECONDS = 1.0


class DisconnectWatch:
    """Watches one client from its request's body until `stop`, whether its answer is streamed or not."""

    def __init__(self, request: Request) -> None:
        self.left = False
        self._callbacks: list[Callable[[], object]] = []
        self._task = asyncio.create_task(self._wait(request))

    def when_left(self, callback: Callable[[], object]) -> None:
        """Call `callback` once the client has left, at once if it already has."""
        if self.left:
            callback()
        else:
            self._callbacks.append(callback)

    def stop(self) -> None:
        """The answer is complete: leaving is no news any more."""
        self._task.cancel()
        self._callbacks.clear()

    def work(self) -> Work:
        """Work that is given up once the client has left; then it raises `ClientDisconnect`."""
        work = Work()
        self.when_left(lambda: work.give_up(ClientDisconnect()))
        return work

    async def _wait(self, request: Request) -> None:
        while not self.left:
            # uvicorn stops reading when bytes follow the request, and then never sees the end of the connection;
            # each new call makes it read on
            with suppress(asyncio.TimeoutError):
                message = await asyncio.wait_for(request.receive(), LOOK_SECONDS)
                self.left = message["type"] == "http.disconnect"
        for callback in self._callbacks:
            callback()
