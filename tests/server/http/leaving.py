"""A client that gives up while its answer is made."""

import asyncio
from typing import Any

import httpx
import pytest
from edgevlm_server.http.transport.h11_protocol import HALF_CLOSE_SECONDS

from tests.live import LiveServer


def leave_once_accepted(server: LiveServer, path: str, request: dict[str, Any]) -> None:
    """Leave as soon as the server has taken the request, however long that takes it."""

    async def leave() -> None:
        async with httpx.AsyncClient(base_url=server.url, timeout=20) as hasty:
            asking = asyncio.create_task(hasty.post(path, **request))
            while not server.metrics()["edgevlm_requests_accepted_total"]:
                await asyncio.sleep(0.05)
            # who ends a connection sooner may only have ended its own side of it
            await asyncio.sleep(2 * HALF_CLOSE_SECONDS)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking

    asyncio.run(leave())
