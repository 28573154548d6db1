"""What h11 lets pass in the head of a request and this server does not. Knows HTTP/1.1, no sockets and no route."""

from typing import Any

import h11

from edgevlm_server.errors import ApiError, HeadTooLarge, InvalidRequest

MAX_HEAD = 16_384
"""Bytes of a request's first line and its headers, line ends included."""
MAX_METHOD = 32


class BoundedConnection(h11.Connection):
    """A server's side of a connection. Raises `h11.RemoteProtocolError` for a request that is refused by its head."""

    def __init__(self) -> None:
        # what is larger and still incomplete is refused by h11, whole heads below
        super().__init__(h11.SERVER, MAX_HEAD)
        self.refusal: ApiError = _not_http()
        """What to tell the client once an error was raised."""

    def next_event(self) -> Any:
        try:
            event = super().next_event()
        except h11.RemoteProtocolError as error:
            if error.error_status_hint == HeadTooLarge.status:
                self.refusal = HeadTooLarge(MAX_HEAD)
            raise
        refusal = _refusal(event) if isinstance(event, h11.Request) else None
        if refusal is not None:
            self.refusal = refusal
            raise h11.RemoteProtocolError(refusal.message, error_status_hint=refusal.status)
        return event


def _refusal(request: h11.Request) -> ApiError | None:
    if _size(request) > MAX_HEAD:
        return HeadTooLarge(MAX_HEAD)
    if len(request.method) > MAX_METHOD:
        return _not_http()
    if {b"content-length", b"transfer-encoding"} <= {name for name, _ in request.headers}:
        # two who disagree about where a request ends see different requests on one connection
        return InvalidRequest("A request cannot have both Content-Length and Transfer-Encoding.", code="invalid_http")
    return None


def _size(request: h11.Request) -> int:
    """As the head was sent, but for white space around values."""
    first = len(request.method) + len(request.target) + len(b"  HTTP/1.1\r\n")
    return first + sum(len(name) + len(value) + len(b": \r\n") for name, value in request.headers) + len(b"\r\n")


def _not_http() -> InvalidRequest:
    return InvalidRequest("The request is not valid HTTP/1.1.", code="invalid_http")
