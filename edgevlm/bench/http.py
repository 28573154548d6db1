"""One HTTP/1.1 exchange on a connection of its own, many at a time on one event loop. Knows no chat and no clock."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from edgevlm.cli import CommandError

READ_BYTES = 2**16


class BrokenOff(Exception):
    """What came is not HTTP, or ended before it was whole."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where requests go: `root` is the path up to and with `/v1`."""

    url: str
    host: str
    port: int
    tls: ssl.SSLContext | None
    root: str
    key: str | None

    @classmethod
    def at(cls, url: str, key: str | None) -> "Endpoint":
        """From an address as people write it, with or without `/v1`. Raises `CommandError`."""
        parts = urlsplit(url if "://" in url else f"http://{url}")
        try:
            port = parts.port
        except ValueError:
            raise CommandError(f"{url} has no valid port.") from None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise CommandError(f"{url} is no address of a server, such as http://127.0.0.1:8000.")
        if key is not None and not (key.isascii() and key.isprintable()):
            raise CommandError("An API key is one line of ASCII characters.")
        tls = ssl.create_default_context() if parts.scheme == "https" else None
        root = parts.path.rstrip("/").removesuffix("/chat/completions").removesuffix("/v1") + "/v1"
        return cls(url, parts.hostname, port or (443 if tls else 80), tls, root, key)

    def head(self, method: str, path: str, length: int) -> bytes:
        """Request line and header fields of a request for `root` + `path`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        lines = [
            f"{method} {self.root}{path} HTTP/1.1",
            f"Host: {host}:{self.port}",
            "Connection: close",
            "Accept: text/event-stream, application/json",
            "Content-Type: application/json",
            f"Content-Length: {length}",
        ]
        if self.key is not None:
            lines.append(f"Authorization: Bearer {self.key}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode()


class Response:
    """Status and header fields, their names in lower case; the body comes in pieces as the network delivers it."""

    def __init__(self, status: int, headers: dict[str, str], reader: asyncio.StreamReader) -> None:
        self.status = status
        self.headers = headers
        self._reader = reader

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body, none of its pieces empty. Raises `BrokenOff`."""
        length = self.headers.get("content-length")
        if "chunked" in self.headers.get("transfer-encoding", "").lower():
            async for piece in self._chunks():
                yield piece
        elif length is not None:
            async for piece in self._exactly(_number(length, 10)):
                yield piece
        else:
            while piece := await self._reader.read(READ_BYTES):
                yield piece

    async def _chunks(self) -> AsyncIterator[bytes]:
        while size := _number((await _line(self._reader)).partition(";")[0], 16):
            async for piece in self._exactly(size):
                yield piece
            await _line(self._reader)
        while await _line(self._reader):
            pass  # trailer fields

    async def _exactly(self, length: int) -> AsyncIterator[bytes]:
        while length:
            piece = await self._reader.read(min(length, READ_BYTES))
            if not piece:
                raise BrokenOff("the connection was closed before the answer was whole")
            length -= len(piece)
            yield piece


@asynccontextmanager
async def exchange(endpoint: Endpoint, method: str, path: str, body: bytes = b"") -> AsyncIterator[Response]:
    """Send one request and receive the head of its answer.

    Raises `OSError` if no connection can be made, `BrokenOff` for what happens on it.
    """
    reader, writer = await asyncio.open_connection(endpoint.host, endpoint.port, ssl=endpoint.tls)
    try:
        writer.write(endpoint.head(method, path, len(body)) + body)
        # a server may refuse before it has read everything; its answer can still be read
        with suppress(ConnectionError):
            await writer.drain()
        yield await _response(reader)
    except OSError:
        raise BrokenOff("the connection was lost before the answer was whole") from None
    finally:
        # closing politely would wait for a server that does not read
        writer.transport.abort()


async def _response(reader: asyncio.StreamReader) -> Response:
    status = 100
    while status // 100 == 1:
        version, _, rest = (await _line(reader)).partition(" ")
        if not version.startswith("HTTP/1."):
            raise BrokenOff("the answer is not HTTP/1.1")
        status = _number(rest.partition(" ")[0], 10)
        headers = {}
        while line := await _line(reader):
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
    return Response(status, headers, reader)


async def _line(reader: asyncio.StreamReader) -> str:
    """One line without its end."""
    try:
        line = await reader.readline()
    except ValueError:
        raise BrokenOff("the answer has a header line without end") from None
    if not line.endswith(b"\n"):
        raise BrokenOff("the connection was closed before the answer was whole")
    return line.decode("latin-1").rstrip("\r\n")


def _number(text: str, base: int) -> int:
    try:
        return int(text.strip(), base)
    except ValueError:
        raise BrokenOff("the answer is not HTTP/1.1") from None
