"""How late the event loop is: whatever blocks it holds up every stream. Knows no metric and no server."""

import asyncio
from collections.abc import Callable
from typing import NoReturn

EVERY_SECONDS = 1.0


async def watch_lag(observe: Callable[[float], None]) -> NoReturn:
    """Tell again and again how many seconds later than due this came to run."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + EVERY_SECONDS
        await asyncio.sleep(EVERY_SECONDS)
        observe(max(0.0, loop.time() - due))
