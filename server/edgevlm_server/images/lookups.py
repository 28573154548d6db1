"""Addresses of hosts' names, as the system finds them. Event loop only; knows no pictures and no connections."""

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from edgevlm_server.errors import Unavailable
from edgevlm_server.images.fetch import AT_ONCE

Found = list[tuple[Any, ...]]
"""As the system gives it."""


class Lookups:
    """One of a name at a time: a name server may be silent about one, and others must not wait for its answer."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(AT_ONCE, "resolver")
        self._under_way: dict[str, asyncio.Future[Found]] = {}
        self._closed = False

    async def addresses(self, host: str, port: int) -> list[str]:
        """At least one. Raises `OSError`, and `Unavailable` once it is closed.

        Whoever gives up leaves the lookup to those who ask next.
        """
        if self._closed:
            raise Unavailable.draining()
        lookup = self._under_way.get(host) or self._begin(host, port)
        return [str(address[0]) for *_, address in await asyncio.shield(lookup)]

    def close(self) -> None:
        """Does not wait for what is under way. May be called from any thread."""
        self._closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _begin(self, host: str, port: int) -> "asyncio.Future[Found]":
        def ended(lookup: "asyncio.Future[Found]") -> None:
            del self._under_way[host]
            if not lookup.cancelled():
                lookup.exception()  # there may be nobody left to hear of it

        loop = asyncio.get_running_loop()
        lookup = loop.run_in_executor(self._threads, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        lookup.add_done_callback(ended)
        self._under_way[host] = lookup
        return lookup
