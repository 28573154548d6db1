"""Encrypted connections: the certificate, also when it is replaced, and handshakes. Knows no HTTP and no route.

asyncio begins to serve a connection when its handshake is over. Here it is counted, and bounded, from its first byte.
"""

import asyncio
import logging
import math
import ssl
import sys
from asyncio.sslproto import SSLProtocol
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgevlm_server.http.transport.connections import Connections
from edgevlm_server.settings import SettingsError

log = logging.getLogger(__name__)

GOODBYE_SECONDS = 1.0
"""How long a client may take to confirm the end of its connection."""

# Python 3.10 waits for no confirmation
_GOODBYE: dict[str, Any] = {} if sys.version_info < (3, 11) else {"ssl_shutdown_timeout": GOODBYE_SECONDS}


class Certificate:
    """A certificate with its key, in two files."""

    def __init__(self, certificate: Path, key: Path) -> None:
        """Raises `SettingsError` if they cannot be used."""
        self.files = certificate, key
        self.context = _context(certificate, key)
        """Of connections that begin now."""

    def reload(self) -> None:
        """Show new clients what is in the files now; what was read before stays if it cannot be used."""
        try:
            # another one, and at once: handshakes copy from theirs meanwhile, in another thread
            self.context = _context(*self.files)
        except SettingsError as error:
            log.error("%s The certificate that was read before stays in use.", error)
        else:
            log.info("The TLS certificate was read again.")


class TlsConnection(SSLProtocol):
    """One connection, from its first byte; it holds a place among the open ones until the handshake is over."""

    def __init__(self, http: asyncio.Protocol, context: ssl.SSLContext, places: Connections, seconds: float) -> None:
        """A handshake may take so many `seconds`."""
        loop = asyncio.get_running_loop()
        self._handshake: asyncio.Future[None] = loop.create_future()
        super().__init__(
            loop,
            http,
            context,
            self._handshake,
            server_side=True,
            ssl_handshake_timeout=math.ceil(seconds),
            **_GOODBYE,
        )
        self._places = places
        self._leave: Callable[[], None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.socket = transport
        address = transport.get_extra_info("peername")[0]
        if not self._places.enter(address):
            transport.abort()  # nothing can be said before there are keys
            self._places.refused_left()
            return
        self._leave = lambda: self._places.leave(address)
        self._handshake.add_done_callback(self._failed)
        super().connection_made(transport)

    def handshake_over(self) -> None:
        """Give the place back, to whoever comes behind the handshake."""
        if self._leave is not None:
            leave, self._leave = self._leave, None
            leave()

    def _failed(self, handshake: "asyncio.Future[None]") -> None:
        """Also called when it has not failed; asked for the reason, asyncio logs none."""
        if not handshake.cancelled():
            handshake.exception()
        self.handshake_over()


def _context(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key, password=_no_passphrase)
    except ssl.SSLError as error:
        pair = error.reason == "KEY_VALUES_MISMATCH"
        reason = "they do not belong together" if pair else "both must be PEM, and the key without a passphrase"
        raise SettingsError(f"The certificate {certificate} and the key {key} cannot be used: {reason}.") from None
    except OSError as error:
        raise SettingsError(
            f"The certificate {certificate} or the key {key} cannot be read: {error.strerror}."
        ) from None
    return context


def _no_passphrase() -> str:
    """Instead of a question in the terminal."""
    return ""
