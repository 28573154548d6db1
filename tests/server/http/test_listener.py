"""The listening socket: its connections send what they have at once."""

import asyncio
import socket

import pytest
from edgevlm_server.listener import listen
from edgevlm_server.settings import Settings


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_no_packet_waits_for_the_one_before_it(host: str) -> None:
    async def nodelay() -> int:
        accepted: asyncio.Queue[int] = asyncio.Queue()

        class Noting(asyncio.Protocol):
            """Notes the option of each connection."""

            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                connection = transport.get_extra_info("socket")
                accepted.put_nowait(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
                transport.close()

        with listen(Settings(host=host, port=0)) as [listener]:
            server = await asyncio.get_running_loop().create_server(Noting, sock=listener)
            async with server:
                _, writer = await asyncio.open_connection(*listener.getsockname()[:2])
                option = await asyncio.wait_for(accepted.get(), 10)
                writer.close()
                return option

    assert asyncio.run(nodelay()) != 0
