"""What a client still sends once it has its answer: thrown away, within bounds. Knows transports, no HTTP."""

import asyncio
from collections.abc import Callable
from typing import Any


class Rest:
    """The rest of one body at a time: when it ends is for the caller to say."""

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float, most: int) -> None:
        self._loop = loop
        self._seconds = seconds
        self._most = most
        self._left = 0
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, transport: asyncio.Transport) -> None:
        """From now on the bounds hold, whatever comes; beyond them the connection is cut. Harmless once begun."""
        if self._timer is None:
            self._transport = transport
            self._left = self._most
            self._timer = self._loop.call_later(self._seconds, transport.abort)

    def count(self, size: int) -> None:
        """So many bytes have come. Harmless where there is no rest."""
        if self._transport is not None:
            self._left -= size
            if self._left < 0:
                self._transport.abort()

    def over(self) -> None:
        """It has come, or never will."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = self._transport = None


class Lingering:
    """A transport that is not closed while a body is on its way: the answer would be lost with the connection.

    It only ends its own side then, and the client closes the connection, or the bounds of the rest do.
    """

    def __init__(
        self, transport: asyncio.Transport, socket: asyncio.Transport, has_rest: Callable[[], bool], rest: Rest
    ) -> None:
        """`socket` is what is below the transport where it encrypts, else the same."""
        self._transport = transport
        self._socket = socket
        self._has_rest = has_rest
        self._rest = rest
        self._lingers = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Nothing once the connection is lost: the next turn of the event loop tells, and asyncio logs each try."""
        if not self._socket.is_closing():
            self._transport.write(data)

    def is_closing(self) -> bool:
        return self._lingers or self._transport.is_closing()

    def close(self) -> None:
        """At once, or when it is told so a second time."""
        if self.is_closing() or not self._has_rest():
            self._transport.close()
            return
        self._lingers = True
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._transport.resume_reading()
        self._rest.begin(self._transport)
