"""Heads are bounded exactly, and the rest of a body whose request is answered has bounds, too."""

import asyncio
import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from edgevlm_server.http.transport import h11_protocol
from edgevlm_server.http.transport.heads import MAX_HEAD, MAX_METHOD
from edgevlm_server.http.transport.rest import Rest

from tests.live import LiveServer
from tests.server.engines import until

Bundles = Callable[[str], Path]

LARGE = 7_000_000


@contextmanager
def connected(server: LiveServer) -> Iterator[socket.socket]:
    with socket.create_connection(server.address, timeout=20) as connection:
        yield connection


def answer(connection: socket.socket) -> tuple[int, str, bytes]:
    """Status, error code and all the rest, to the end of the connection."""
    head, _, body = connection.makefile("rb").read().partition(b"\r\n\r\n")
    error = json.loads(body[: body.rindex(b"}") + 1])
    return int(head.split()[1]), error["error"]["code"] if "error" in error else "", head.lower()


def get(path: bytes = b"/health", method: bytes = b"GET", *headers: bytes) -> bytes:
    lines = [b"%b %b HTTP/1.1" % (method, path), b"Host: x", b"Connection: close", *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def filled(make: Callable[[bytes], bytes], size: int) -> bytes:
    """A head of exactly so many bytes."""
    return make(b"a" * (size - len(make(b""))))


HEADS: dict[str, Callable[[bytes], bytes]] = {
    "a header": lambda filling: get(b"/health", b"GET", b"X: " + filling),
    "many headers": lambda filling: get(b"/health", b"GET", *[b"X: y"] * 60, b"Z: " + filling),
    "a path": lambda filling: get(b"/health?" + filling),
}


@pytest.mark.parametrize("name", HEADS)
def test_a_head_is_bounded_to_the_byte(echo_server: LiveServer, name: str) -> None:
    with connected(echo_server) as connection:
        connection.sendall(filled(HEADS[name], MAX_HEAD))
        assert answer(connection)[0] == 200
    with connected(echo_server) as connection:
        connection.sendall(filled(HEADS[name], MAX_HEAD + 1))
        status, code, head = answer(connection)
    assert (status, code) == (431, "head_too_large")
    assert b"connection: close" in head and b"x-request-id: " in head


def test_a_method_is_bounded_too(echo_server: LiveServer) -> None:
    for length, expected in ((MAX_METHOD, (405, "method_not_allowed")), (MAX_METHOD + 1, (400, "invalid_http"))):
        with connected(echo_server) as connection:
            connection.sendall(get(b"/health", b"A" * length))
            assert answer(connection)[:2] == expected


def test_a_second_head_is_bounded_as_the_first_is(echo_server: LiveServer) -> None:
    first = get().replace(b"Connection: close\r\n", b"")
    with connected(echo_server) as connection:
        connection.sendall(first + filled(HEADS["a path"], MAX_HEAD + 1))
        assert b"HTTP/1.1 431 " in connection.makefile("rb").read()


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_two_lengths_are_refused_and_end_the_connection(echo_server: LiveServer, order: tuple[int, int]) -> None:
    body = b'{"prompt":"hi","max_tokens":1}'
    lengths = [b"Content-Length: %d" % len(body), b"Transfer-Encoding: chunked"]
    head = b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    chunked = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    with connected(echo_server) as connection:
        connection.sendall(head + b"\r\n".join(lengths[one] for one in order) + b"\r\n\r\n" + chunked + get())
        text = connection.makefile("rb").read()
    assert text.startswith(b"HTTP/1.1 400 ") and text.count(b"HTTP/1.1") == 1
    assert b"invalid_http" in text and b"connection: close" in text


@pytest.mark.parametrize("path", [b"/v1/chat/completions", b"/nowhere"])
def test_a_refusal_is_read_behind_a_large_body(echo_server: LiveServer, path: bytes) -> None:
    """The connection is to be closed, and yet not cut while the client sends."""
    head = b"POST %b HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % (path, LARGE)
    with connected(echo_server) as connection:
        connection.sendall(head)
        for _ in range(LARGE // 100_000):
            connection.sendall(b"x" * 100_000)
        assert answer(connection)[0] in (404, 415)


def test_so_is_that_of_a_body_beyond_the_limit(echo_server: LiveServer) -> None:
    head = b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    with connected(echo_server) as connection:
        connection.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(2 * LARGE // 100_000):
            connection.sendall(b"186a0\r\n" + b"x" * 100_000 + b"\r\n")
        connection.sendall(b"0\r\n\r\n")
        assert answer(connection)[:2] == (413, "request_too_large")


@pytest.mark.slow
@pytest.mark.parametrize("close", [b"", b"Connection: close\r\n"])
def test_the_rest_of_a_body_has_a_deadline(bundles: Bundles, monkeypatch: pytest.MonkeyPatch, close: bytes) -> None:
    monkeypatch.setattr(h11_protocol, "REST_SECONDS", 0.5)
    with LiveServer.on_bundle(bundles("v2"), engine="echo") as server, connected(server) as connection:
        connection.sendall(b"POST /nowhere HTTP/1.1\r\nHost: x\r\n%bContent-Length: 100000\r\n\r\n" % close)
        until(lambda: drips_in_vain(connection), "the connection to be cut")


def drips_in_vain(connection: socket.socket) -> bool:
    time.sleep(0.02)
    try:
        connection.sendall(b"x")
    except OSError:
        return True
    return False


@pytest.mark.slow
def test_the_rest_of_a_body_has_a_size(bundles: Bundles) -> None:
    head = b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n"
    with (
        LiveServer.on_bundle(bundles("v2"), engine="echo", max_body=50_000) as server,
        connected(server) as connection,
    ):
        connection.sendall(head)
        with pytest.raises(OSError):
            for _ in range(1000):
                connection.sendall(b"x" * 100_000)


@pytest.mark.slow
def test_a_connection_is_kept_when_the_rest_has_come(bundles: Bundles, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[Rest] = []

    class Noted(Rest):
        def begin(self, transport: asyncio.Transport) -> None:
            super().begin(transport)
            begun.append(self)

    monkeypatch.setattr(h11_protocol, "Rest", Noted)
    with LiveServer.on_bundle(bundles("v2"), engine="echo") as server, connected(server) as connection:
        for _ in range(2):
            connection.sendall(b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
            text = b""
            while not text.endswith(b"}}") and (block := connection.recv(4096)):
                text += block
            assert text.startswith(b"HTTP/1.1 404 ")
            until(lambda: begun, "the deadline to begin")
            connection.sendall(b"x" * 1000)
            until(lambda: begun[-1]._timer is None, "the deadline to be called off")
            begun.clear()
        connection.sendall(get())
        assert answer(connection)[0] == 200


def test_to_who_has_left_nothing_more_is_written(echo_server: LiveServer, caplog: pytest.LogCaptureFixture) -> None:
    """asyncio has a line in the log for each try."""
    body = json.dumps({"messages": [{"role": "user", "content": "x"}], "max_tokens": 400, "stream": True}).encode()
    head = get(b"/v1/chat/completions", b"POST", b"Content-Type: application/json", b"Content-Length: %d" % len(body))
    for _ in range(10):
        with connected(echo_server) as connection:
            connection.sendall(head + body)
            connection.recv(10)
    until(lambda: echo_server.service.admission.inside == 0, "all to be over")
    assert "socket.send() raised exception" not in caplog.text
