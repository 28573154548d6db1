"""Notices that a client has left, at any time after its body was read, whether its answer is streamed or not."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from starlette.requests import Request

LOOK_SECONDS = 1.0


class DisconnectWatch:
    """Watches one request from its making until `stop`."""

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

    async def _wait(self, request: Request) -> None:
        while not self.left:
            # uvicorn stops reading when bytes follow the request, and then never sees the end of the connection;
            # each new call makes it read on
            with suppress(asyncio.TimeoutError):
                message = await asyncio.wait_for(request.receive(), LOOK_SECONDS)
                self.left = message["type"] == "http.disconnect"
        for callback in self._callbacks:
            callback()
