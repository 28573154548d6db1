"""uvicorn's HTTP/1.1 protocol with bounds on connections, and our shape for what never reaches the application.

The slower of uvicorn's parsers: it has limits. Knows sockets through asyncio, no route.
"""

import asyncio
import json
import uuid
from http import HTTPStatus
from typing import Any, cast

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.server import ServerState

from edgevlm_server.errors import ApiError, RequestTimeout, Unavailable
from edgevlm_server.http.transport.connections import Connections
from edgevlm_server.http.transport.heads import BoundedConnection
from edgevlm_server.http.transport.rest import Lingering, Rest
from edgevlm_server.http.transport.tls import Certificate, TlsConnection
from edgevlm_server.observe.record import Readers, RequestRecord
from edgevlm_server.settings import Settings

HALF_CLOSE_SECONDS = 0.25
"""Who ends its side of the connection with its request still wants the answer. Who does so later, or has a part of
the answer, has hung up."""

LINGER_SECONDS = 0.2
"""How long a refused connection stays open for what is still sent: closed at once, the refusal may be lost."""
MOST_LINGERING = 32
"""With more of them, they are closed at once: they take descriptors."""

REST_SECONDS = 30.0
"""How long the rest of a body may take once its request is answered. It is thrown away: a client that still sends
reads no answer, and closing the connection would lose it."""

UNREAD = "-"
"""In place of a method and a path."""

ACCEPTED_AT_ONCE = 16
"""asyncio accepts so many before it looks at the first: it must not run out of descriptors meanwhile."""


class HttpConfig(uvicorn.Config):
    """How uvicorn is run."""

    def __init__(
        self,
        app: ASGIApp,
        settings: Settings,
        most_connections: int,
        readers: Readers,
        certificate: Certificate | None = None,
    ) -> None:
        """`readers` get the records of what never reaches the application."""
        proxies = settings.trusted_proxies or ()
        super().__init__(
            app,
            # called for each connection
            http=cast(type[asyncio.Protocol], Http11 if certificate is None else encrypted_http11),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            backlog=ACCEPTED_AT_ONCE,
            proxy_headers=bool(proxies),
            forwarded_allow_ips=list(proxies),
            timeout_graceful_shutdown=5,
            timeout_keep_alive=settings.keep_alive,
        )
        self.certificate = certificate
        self.readers = readers
        self.head_timeout = settings.head_timeout
        self.most_of_a_rest = 10 * settings.max_body
        self.open_connections = Connections(most_connections, settings.max_connections_per_address, proxies)


class Http11(H11Protocol):
    """One connection."""

    def __init__(
        self,
        config: HttpConfig,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.conn: BoundedConnection = BoundedConnection()
        self._head_timeout = config.head_timeout
        self._rest = Rest(self.loop, REST_SECONDS, config.most_of_a_rest)
        self._places = config.open_connections
        self._readers = config.readers
        self._counted: str | None = None
        """The address that it is counted under."""
        self._head_timer: asyncio.TimerHandle | None = None
        self._received: RequestResponseCycle | None = None
        """The latest request that has arrived completely, at the time `_received_at`."""
        self._received_at = 0.0
        self._half_closed = False
        self._refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        lingering = Lingering(transport, self._socket_of(transport), self._has_rest, self._rest)
        self.transport = lingering  # type: ignore[assignment]
        address: str = transport.get_extra_info("peername")[0]
        if self._places.enter(address):
            self._counted = address
            self._await_head()
        else:
            self._answer(Unavailable.crowded())

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._stop_waiting()
        self._rest.over()
        if self._counted is None:
            self._places.refused_left()
        else:
            self._places.leave(self._counted)

    def data_received(self, data: bytes) -> None:
        self._rest.count(len(data))
        if self._refused or self.transport.is_closing():
            return
        super().data_received(data)
        if not self._has_rest():
            self._rest.over()
        if self.conn.their_state is not h11.IDLE:
            self._stop_waiting()
        elif self._head_timer is None:
            self._await_head()
        self._note_received()

    def eof_received(self) -> bool:  # type: ignore[override]
        """True keeps the connection for the answer."""
        cycle = self._received
        waits = cycle is not None and cycle is self.cycle and not cycle.response_started
        self._half_closed = waits and self.loop.time() - self._received_at < HALF_CLOSE_SECONDS
        return self._half_closed

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._has_rest():
            self._rest.begin(self.transport)
        # the next request may have come together with the last
        self._note_received()
        if self._half_closed and self.cycle.response_complete:
            self.transport.close()

    def shutdown(self) -> None:
        """Called by uvicorn when the server ends."""
        if self._refused:
            self.transport.close()
        else:
            super().shutdown()

    def send_400_response(self, msg: str) -> None:
        """Called by uvicorn instead of the application."""
        self._answer(self.conn.refusal)

    def _unsupported_upgrade_warning(self) -> None:
        """Clients may always ask for another protocol; they are answered in this one, and that is no news."""

    def _socket_of(self, transport: asyncio.Transport) -> asyncio.Transport:
        """What tells that the connection is lost."""
        return transport

    def _has_rest(self) -> bool:
        """Whether a body is still on its way."""
        return self.conn.their_state is h11.SEND_BODY

    def _note_received(self) -> None:
        if self.cycle is not self._received and not self.cycle.more_body:
            self._received, self._received_at = self.cycle, self.loop.time()

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(self._head_timeout, self._head_is_late)

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        """Who has said nothing yet is told nothing."""
        if self.conn.trailing_data[0].strip():
            text = f"The head of the request did not arrive within {self._head_timeout:g} s."
            self._answer(RequestTimeout(text, code="request_timeout"))
        else:
            self.transport.close()

    def _note(self, error: ApiError, sent: int) -> RequestRecord:
        """A record as of any other request, though neither method nor path is known."""
        address: str = self.transport.get_extra_info("peername")[0]
        record = RequestRecord(id=uuid.uuid4().hex, method=UNREAD, path=UNREAD, address=address)
        record.status, record.code, record.sent, record.complete = error.status, error.code, sent, True
        record.close()
        self._readers.read(record)
        return record

    def _answer(self, error: ApiError) -> None:
        """In place of the application, and as any other error is answered; the connection is closed behind it."""
        body = json.dumps(error.body(), separators=(",", ":")).encode()
        record = self._note(error, len(body))
        headers = {
            "content-type": "application/json; charset=utf-8",
            "content-length": str(len(body)),
            "x-request-id": record.id,
            "connection": "close",
            **error.headers,
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}\r\n{lines}\r\n"
        self.transport.write(head.encode() + body)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._refused = True
        self.loop.call_later(LINGER_SECONDS if self._places.lingering <= MOST_LINGERING else 0, self.transport.close)


class EncryptedHttp11(Http11):
    """Behind a handshake."""

    handshake: TlsConnection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.handshake.handshake_over()
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.transport.close()  # Python 3.10 wants to be told, whoever has closed it

    def _socket_of(self, transport: asyncio.Transport) -> asyncio.Transport:
        return self.handshake.socket

    def eof_received(self) -> bool:  # type: ignore[override]
        """TLS has no half-closed connections."""
        return False


def encrypted_http11(
    config: HttpConfig,
    server_state: ServerState,
    app_state: dict[str, Any],
    _loop: asyncio.AbstractEventLoop | None = None,
) -> TlsConnection:
    """One connection with TLS, as uvicorn asks for one without."""
    assert config.certificate is not None
    http = EncryptedHttp11(config, server_state, app_state, _loop)
    http.handshake = TlsConnection(http, config.certificate.context, config.open_connections, config.head_timeout)
    return http.handshake
