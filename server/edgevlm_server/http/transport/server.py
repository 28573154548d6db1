"""uvicorn's server, for clients who come in numbers. Knows listening sockets, no application and no protocol."""

import asyncio
import logging
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from edgevlm_server.http.transport.listener import BACKLOG

log = logging.getLogger(__name__)

ACCEPT_LOG_SECONDS = 0.5
"""asyncio tries to accept again after a second, several times at once."""


class Server(uvicorn.Server):
    """Many clients may wait to be accepted, and few are accepted at once."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or ():
            listener.listen(BACKLOG)  # asyncio has one number for both
        asyncio.get_running_loop().set_exception_handler(_AcceptErrors())


class BesideServer(Server):
    """A second one in the same process: signals are for the first."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _AcceptErrors:
    """Of errors that come many at a time, and again every second, logs one a second."""

    def __init__(self) -> None:
        self._logged = -ACCEPT_LOG_SECONDS

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if not str(context.get("message")).startswith("socket.accept()"):
            loop.default_exception_handler(context)
        elif time.monotonic() - self._logged >= ACCEPT_LOG_SECONDS:
            self._logged = time.monotonic()
            log.error("No connection can be accepted: %s. New clients wait.", context["exception"].strerror)
