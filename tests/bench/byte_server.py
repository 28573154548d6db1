"""A server that answers everyone with exactly the bytes that a test gives it, and bytes of a whole answer."""

import asyncio
import json
import re
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from edgevlm.http_client import Server

T = TypeVar("T")

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"


def chunk(**fields: object) -> str:
    return f"data: {json.dumps(fields)}\n\n"


def delta(text: str, reason: str | None = None) -> str:
    return chunk(choices=[{"index": 0, "delta": {"content": text}, "finish_reason": reason}])


USAGE = {"prompt_tokens": 50, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 20}}
ANSWER = (
    chunk(choices=[{"delta": {"role": "assistant", "content": ""}}])
    + (": still here\n\n" + delta("red ") + delta("lamp ü"))
    + (delta("", "stop") + chunk(choices=[], usage=USAGE) + "data: [DONE]\n\n")
).encode()


async def with_server(pieces: Sequence[bytes], use: Callable[[Server], Coroutine[Any, Any, T]]) -> T:
    """What comes of a server that answers everyone with exactly these bytes; without any it waits."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"Content-Length: (\d+)", head)
            assert length
            await reader.readexactly(int(length[1]))
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
            if not pieces:
                await reader.read()  # until the client leaves
        except (OSError, EOFError):
            pass  # the client has left
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        return await use(Server.at(f"http://127.0.0.1:{port}", None))
    finally:
        server.close()
