"""What goes wrong around the clients, one after the other: each ends by itself, and is in the ledger."""

import asyncio
import os
import random
import signal
import time
from contextlib import suppress
from itertools import cycle

from tests.processes import children
from tests.soak.clients import CHAT, Clients
from tests.soak.ledger import Ledger

BURST = 60
"""More than there are places for, beside the others."""
SILENT, BROKEN = 20, 5


class Faults:
    """For one server process and its address."""

    def __init__(self, process: int, url: str, clients: Clients, ledger: Ledger) -> None:
        self._process = process
        host, _, port = url.removeprefix("http://").partition(":")
        self._address = (host, int(port))
        self._clients = clients
        self._ledger = ledger
        self.killed = 0
        """Decoding processes: a picture that one of them had is refused for now."""

    async def until(self, end: float, pause: float, chance: random.Random) -> None:
        """One after the other, with `pause` seconds in front of each."""
        faults = cycle((self._kill_a_worker, self._silent_connections, self._broken_bodies, self._burst))
        while time.monotonic() + pause < end:
            await asyncio.sleep(pause)
            await next(faults)(chance)

    async def _kill_a_worker(self, chance: random.Random) -> None:
        if workers := sorted(children(self._process)):
            with suppress(ProcessLookupError):
                os.kill(chance.choice(workers), signal.SIGKILL)
            self.killed += 1

    async def _silent_connections(self, chance: random.Random) -> None:
        opened = [await asyncio.open_connection(*self._address) for _ in range(SILENT)]
        for _, writer in opened:
            writer.write(b"POST /v1/chat"[: chance.randrange(13)])
        await asyncio.sleep(0.5)
        for _, writer in opened:
            writer.close()

    async def _broken_bodies(self, chance: random.Random) -> None:
        head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
        for _ in range(BROKEN):
            _, writer = await asyncio.open_connection(*self._address)
            writer.write(head.encode() + b"{" * chance.randrange(1, 900))
            await writer.drain()
            self._ledger.sent += 1
            self._ledger.cancelled += 1
            await asyncio.sleep(0.1)
            writer.close()

    async def _burst(self, chance: random.Random) -> None:
        await self._clients.burst(BURST, chance)
