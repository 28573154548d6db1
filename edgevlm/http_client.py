"""HTTP/1.1, one exchange on a connection of its own, many at a time on one event loop. Knows no chat.

The only client of the commands and the benchmarks: of a stream, it says when each piece came.
"""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import NamedTuple, TypeVar
from urllib.parse import urlsplit

from edgevlm.errors import CommandError

READ_BYTES = 2**16
MOST_OF_A_BODY = 2**20
"""Bytes that are read of an answer that is not streamed."""

T = TypeVar("T")


class ExchangeError(Exception):
    """There is no whole answer; the text says why, without a full stop."""


class NoConnection(ExchangeError):
    """Nobody listens there, or the name leads nowhere."""


class BrokenOff(ExchangeError):
    """What came is not HTTP, or ended before it was whole."""


class TooSlow(ExchangeError):
    """The answer was not whole in time."""


class Answer(NamedTuple):
    """One that was read whole."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Server:
    """Where requests go: `prefix` is the path in front of `/v1`, usually empty."""

    url: str
    host: str
    port: int
    tls: ssl.SSLContext | None
    prefix: str
    key: str | None

    @classmethod
    def at(cls, url: str, key: str | None = None) -> "Server":
        """From an address as people write it, with or without `/v1`. Raises `CommandError`."""
        parts = urlsplit(url if "://" in url else f"http://{url}")
        try:
            port = parts.port
        except ValueError:
            raise CommandError(f"{url} has no valid port.") from None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise CommandError(f"{url} is not the address of a server, such as http://127.0.0.1:8000.")
        if key is not None and not (key.isascii() and key.isprintable()):
            raise CommandError("An API key is one line of ASCII characters.")
        tls = ssl.create_default_context() if parts.scheme == "https" else None
        prefix = parts.path.rstrip("/").removesuffix("/chat/completions").removesuffix("/v1")
        return cls(url, parts.hostname, port or (443 if tls else 80), tls, prefix, key)

    def head(self, method: str, path: str, length: int, headers: Mapping[str, str]) -> bytes:
        """Request line and header fields of a request for `prefix` + `path`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        lines = [
            f"{method} {self.prefix}{path} HTTP/1.1",
            f"Host: {host}:{self.port}",
            "Connection: close",
            "Accept: text/event-stream, application/json",
            f"Content-Length: {length}",
        ]
        lines += [f"{name}: {value}" for name, value in {"Content-Type": "application/json", **headers}.items()]
        if self.key is not None:
            lines.append(f"Authorization: Bearer {self.key}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode()


class Response:
    """Status and header fields, their names in lower case; the body comes in pieces as the network delivers it."""

    def __init__(self, status: int, headers: dict[str, str], reader: asyncio.StreamReader) -> None:
        self.status = status
        self.headers = headers
        self._reader = reader

    async def body(self) -> bytes:
        """Whole, or its first part if it is longer than anybody would read. Raises `BrokenOff`."""
        body = b""
        async for piece in self.pieces():
            body += piece
            if len(body) > MOST_OF_A_BODY:
                break
        return body

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
                raise BrokenOff("the connection was closed before the answer was complete")
            length -= len(piece)
            yield piece


@asynccontextmanager
async def exchange(
    server: Server, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> AsyncIterator[Response]:
    """Send one request and receive the head of its answer.

    Raises `NoConnection` if none can be made, `BrokenOff` for what happens on it.
    """
    try:
        reader, writer = await asyncio.open_connection(server.host, server.port, ssl=server.tls)
    except OSError as error:
        raise NoConnection(_reason(error)) from None
    try:
        writer.write(server.head(method, path, len(body), headers or {}) + body)
        # a server may refuse before it has read everything; its answer can still be read
        with suppress(ConnectionError):
            await writer.drain()
        yield await _response(reader)
    except OSError:
        raise BrokenOff("the connection was lost before the answer was complete") from None
    finally:
        # closing politely would wait for a server that does not read
        writer.transport.abort()


async def read(
    server: Server, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> Answer:
    """Send one request and read its answer whole. Raises `ExchangeError`."""
    async with exchange(server, method, path, body, headers) as response:
        return Answer(response.status, await response.body())


def fetch(
    server: Server,
    method: str,
    path: str,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    *,
    seconds: float,
) -> Answer:
    """The same for whoever has no event loop. Raises `ExchangeError`."""
    return asyncio.run(within(seconds, read(server, method, path, body, headers)))


async def within(seconds: float, work: Awaitable[T]) -> T:
    """What comes of the work. Raises `TooSlow` if it takes longer."""
    task = asyncio.current_task()
    assert task is not None
    expired = False

    def expire() -> None:
        nonlocal expired
        expired = True
        task.cancel()

    # not `wait_for`: before Python 3.12 it loses a cancellation that comes together with the answer
    timer = asyncio.get_running_loop().call_later(seconds, expire)
    try:
        return await work
    except asyncio.CancelledError:
        if not expired:
            raise
        raise TooSlow(f"it took more than {seconds:g} s") from None
    finally:
        timer.cancel()


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"its certificate is not trusted ({error.verify_message}); SSL_CERT_FILE=FILE names an authority's file"
        )
    said = error.strerror or str(error)
    # asyncio says only where it wanted to go
    return os.strerror(error.errno) if error.errno and said.startswith("Connect call failed") else said


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
        raise BrokenOff("a header line of the answer is too long") from None
    if not line.endswith(b"\n"):
        raise BrokenOff("the connection was closed before the answer was complete")
    return line.decode("latin-1").rstrip("\r\n")


def _number(text: str, base: int) -> int:
    try:
        return int(text.strip(), base)
    except ValueError:
        raise BrokenOff("the answer is not HTTP/1.1") from None
