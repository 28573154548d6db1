"""Gets a picture's file from an address that the operator listed, on the event loop. Knows no formats and no routes.

Every step that others got wrong is closed: the host must be listed, its name is resolved once and the connection goes
to that very address, a redirect is not followed, no proxy is used, and size and time are bounded while reading. What
a host answers is never told to the client; the reason is in the log.
"""

import asyncio
import ipaddress
import logging
import ssl
from collections.abc import Awaitable, Callable, Sequence
from weakref import WeakValueDictionary

import anyio
import h11

from edgevlm_server.images.formats.limits import ImageLimits, fetch_failed, host_not_allowed, unusable_address
from edgevlm_server.images.hosts import ImageHosts, IPAddress, Target, read_url

log = logging.getLogger(__name__)

AT_ONCE = 8
"""Fetches under way together; more wait."""
AT_ONE_HOST = 2
"""Of them from one host: none is flooded through this server, and one that hangs does not hold up the others."""

CONNECT_SECONDS = 2.0
"""For one of several addresses of a host: then the next one is tried."""

_BLOCK = 65_536
_MAX_HEADERS = 16_384
_SLACK = 65_536

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a name for a port, as texts. Raises OSError."""


class _Failed(Exception):
    """The host did not give a picture; the text is for the log."""


class ImageFetcher:
    """Fetches for one server. Methods are called on the event loop."""

    def __init__(self, hosts: ImageHosts, limits: ImageLimits, resolve: Resolve) -> None:
        self._hosts = hosts
        self._limits = limits
        self._resolve = resolve
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._turns_at: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        """By host."""
        self._tls = ssl.create_default_context()

    async def fetch(self, url: str) -> bytes:
        """The bytes that the address gives; what they are is not looked at. Raises ImageError."""
        target = read_url(url)
        if target is None:
            raise unusable_address()
        if not self._hosts.allow(target):
            raise host_not_allowed()
        turn = self._turns_at.setdefault(target.host, asyncio.Semaphore(AT_ONE_HOST))
        try:
            # with the time to wait: where a host hangs, its pictures do not wait for each other for minutes
            with anyio.fail_after(self._limits.fetch_seconds):
                async with turn, self._turns:
                    return await self._get(target)
        except TimeoutError:
            log.info("A picture from %s took too long.", target.host)
            raise self._limits.fetch_too_slow() from None
        except h11.ProtocolError:  # its text may hold a piece of the answer
            reason = "its answer was not valid HTTP"
        except (OSError, _Failed) as error:
            reason = str(error)
        log.info("A picture from %s could not be fetched: %s.", target.host, reason)
        raise fetch_failed()

    async def _get(self, target: Target) -> bytes:
        reader, writer = await self._connect(target)
        try:
            return await self._exchange(target, reader, writer)
        finally:
            writer.transport.abort()  # a goodbye could be kept waiting

    async def _connect(self, target: Target) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """To the first of its addresses that answers; each but the last must do so soon."""
        *others, last = await self._addresses(target)
        for address in others:
            try:
                with anyio.fail_after(CONNECT_SECONDS):
                    return await self._open(target, address)
            except OSError as error:  # a TimeoutError is one
                log.info("%s does not answer at one of its addresses: %s.", target.host, error or "it took too long")
        return await self._open(target, last)

    async def _open(self, target: Target, address: IPAddress) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        secure = target.scheme == "https"
        return await asyncio.open_connection(
            str(address),
            target.port,
            ssl=self._tls if secure else None,
            server_hostname=target.host if secure else None,
        )

    async def _addresses(self, target: Target) -> list[IPAddress]:
        """At least one, and none that the list does not allow."""
        if target.address is not None:
            return [target.address]
        found = map(ipaddress.ip_address, await self._resolve(target.host, target.port))
        allowed = [address for address in found if self._hosts.may_connect(address, target.port)]
        if not allowed:
            raise _Failed("its name leads only to addresses that are neither public nor listed in --image-hosts")
        return allowed

    async def _exchange(self, target: Target, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEADERS)
        writer.write(_request(connection, target))
        await writer.drain()
        most = self._limits.max_bytes
        body, received = bytearray(), 0
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                block = await reader.read(_BLOCK)
                received += len(block)
                if received > 2 * most + _SLACK:  # headers without end, or chunks that are mostly frame
                    raise self._limits.too_many_bytes()
                connection.receive_data(block)
            elif isinstance(event, h11.Response):
                self._check(event)
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > most:
                    raise self._limits.too_many_bytes()
            elif isinstance(event, h11.EndOfMessage):
                return bytes(body)
            elif not isinstance(event, h11.InformationalResponse):
                raise _Failed("it closed the connection")

    def _check(self, response: h11.Response) -> None:
        headers = {bytes(name): bytes(value) for name, value in response.headers}
        if response.status_code != 200:
            raise _Failed(f"it answered with status {response.status_code}")
        if headers.get(b"content-encoding", b"identity").lower() != b"identity":
            raise _Failed("its answer had a content encoding that was not asked for")
        # h11 has checked that it is one number
        if int(headers.get(b"content-length", b"0")) > self._limits.max_bytes:
            raise self._limits.too_many_bytes()


def _request(connection: h11.Connection, target: Target) -> bytes:
    headers = [
        ("host", target.host_header),
        ("user-agent", "edgevlm"),
        ("accept", "image/*"),
        ("accept-encoding", "identity"),
        ("connection", "close"),
    ]
    head = connection.send(h11.Request(method="GET", target=target.path, headers=headers))
    end = connection.send(h11.EndOfMessage())
    assert head is not None and end is not None
    return head + end
