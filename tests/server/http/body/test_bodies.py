"""Bodies on their way: slow ones lock nobody out, and a client that leaves within one is no error of ours."""

import logging
import select
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from edgevlm_server.runtime.admission import GRACE_SECONDS

from tests.live import LiveServer
from tests.server.engines import until
from tests.server.http.refusing import check_error

Bundles = Callable[[str], Path]

POSTS = (
    *("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/decisions"),
    *("/tokenize", "/detokenize", "/v1/chat/completions/input_tokens", "/v1/responses/input_tokens"),
)


@contextmanager
def half_a_body(
    server: LiveServer, path: str = "/v1/chat/completions", body: bytes = b"{"
) -> Iterator[socket.socket]:
    """A connection on which the rest of a body never comes."""
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
    with socket.create_connection(server.address, timeout=20) as connection:
        connection.sendall(head.encode() + body)
        yield connection


def test_half_sent_bodies_lock_nobody_out(bundles: Bundles) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(LiveServer.on_bundle(bundles("v2"), engine="echo", max_batch=2, max_queue=2))
        stalled = [stack.enter_context(half_a_body(server)) for _ in range(4)]
        bodies = server.service.admission._bodies
        until(lambda: len(bodies) == 4, "four bodies to begin")
        check_error(server.chat("too early"), 429, "queue_full")
        until(lambda: all(time.monotonic() - one.since > GRACE_SECONDS for one in bodies), "grace to end")
        assert server.chat("hello").status_code == 200
        # one had to give way, and is told so; the place that it left is enough for all others
        [refused], _, _ = select.select(stalled, [], [], 20)
        answer = refused.recv(4096)
        assert answer.startswith(b"HTTP/1.1 408 ") and b"request_timeout" in answer
        assert server.chat("hello again").status_code == 200
        assert len(bodies) == 3
        assert server.metrics()['edgevlm_admission_rejections_total{reason="invalid_request"}'] == 1


def test_of_several_slow_bodies_the_slowest_gives_way(bundles: Bundles) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(LiveServer.on_bundle(bundles("v2"), engine="echo", max_batch=1, max_queue=1))
        fast = stack.enter_context(half_a_body(server, body=b"{" + b" " * 900))
        slow = stack.enter_context(half_a_body(server))
        bodies = server.service.admission._bodies
        until(lambda: {one.size for one in bodies} == {1, 901}, "both to begin")
        until(lambda: all(time.monotonic() - one.since > GRACE_SECONDS for one in bodies), "grace to end")
        assert server.chat("hello").status_code == 200
        assert slow.recv(4096).startswith(b"HTTP/1.1 408 ")
        assert [one.size for one in bodies] == [901]
        fast.close()


@pytest.mark.parametrize("path", POSTS)
def test_a_client_that_leaves_within_its_body_is_no_error(
    echo_server: LiveServer, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        with half_a_body(echo_server, path):
            until(lambda: echo_server.service.admission._bodies, "the body to begin")
        until(lambda: f"POST {path} 499" in caplog.text, "the request to end")
    assert not [record for record in caplog.records if record.levelno > logging.INFO]
    assert not echo_server.service.admission._bodies


def test_behind_a_body_without_end_the_connection_is_closed(echo_server: LiveServer) -> None:
    """The refusal is not the end of it: who sends on would keep the connection, and the server reading, for ever."""
    with socket.create_connection(echo_server.address, timeout=20) as connection:
        head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        connection.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n")
        block = b"40000\r\n" + b" " * 0x40000 + b"\r\n"
        began = time.monotonic()
        with suppress(ConnectionError):
            while time.monotonic() - began < 20:
                connection.sendall(block)
                time.sleep(0.01)
            pytest.fail("the server read on and on")
