"""Bodies on their way: slow ones lock nobody out, and a client that leaves within one is no error of ours."""

import asyncio
import logging
import select
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx
import pytest
from edgevlm_server.errors import QueueFull, RequestTimeout
from edgevlm_server.runtime import bodies as runtime_bodies
from edgevlm_server.runtime.bodies import GRACE_SECONDS, SMALL_BODY, Arriving
from edgevlm_server.runtime.bodies import Bodies as RuntimeBodies
from edgevlm_server.settings import Settings

from tests.live import LiveServer
from tests.server.engines import until
from tests.server.http.refusing import check_error

Bundles = Callable[[str], Path]

POSTS = (
    *("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/decisions"),
    *("/tokenize", "/detokenize", "/v1/chat/completions/input_tokens", "/v1/responses/input_tokens"),
)


QUARTER = Settings().max_body // 4


@contextmanager
def half_a_body(
    server: LiveServer, path: str = "/v1/chat/completions", size: int = 1, length: int = 1_000_000
) -> Iterator[socket.socket]:
    """A connection on which the rest of a body never comes."""
    body = b" " * size
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    with socket.create_connection(server.address, timeout=20) as connection:
        connection.sendall(head.encode() + body)
        yield connection


def large(server: LiveServer, text: str) -> httpx.Response:
    """A request whose body is large, and sent at once."""
    return server.chat(text, user="x" * (SMALL_BODY + 1))


@pytest.mark.slow
def test_half_sent_small_bodies_are_in_nobodys_way(bundles: Bundles) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(LiveServer.on_bundle(bundles("v2"), engine="echo", max_batch=1, max_queue=1))
        for _ in range(20):
            stack.enter_context(half_a_body(server))
        until(lambda: len(server.service.admission.bodies.arriving) == 20, "twenty bodies to begin")
        assert server.chat("hello").status_code == 200
        assert large(server, "hello").status_code == 200
        assert len(server.service.admission.bodies.arriving) == 20


@pytest.mark.slow
def test_half_sent_large_bodies_lock_nobody_out(bundles: Bundles) -> None:
    """Not even for as long as they have only just begun."""
    with ExitStack() as stack:
        server = stack.enter_context(LiveServer.on_bundle(bundles("v2"), engine="echo", max_batch=2, max_queue=2))
        stalled = [stack.enter_context(half_a_body(server, size=SMALL_BODY + 1, length=QUARTER)) for _ in range(4)]
        bodies = server.service.admission.bodies.large
        until(lambda: len(bodies) == 4, "four bodies to begin")
        assert server.chat("hello").status_code == 200
        assert large(server, "hello").status_code == 200
        # one had to give way, and is told so; the place that it left is enough for all others
        [refused], _, _ = select.select(stalled, [], [], 20)
        answer = refused.recv(4096)
        assert answer.startswith(b"HTTP/1.1 408 ") and b"request_timeout" in answer
        assert large(server, "hello again").status_code == 200
        assert len(bodies) == 3
        assert server.metrics()['edgevlm_admission_rejections_total{reason="invalid_request"}'] == 1


@pytest.mark.slow
def test_a_large_body_waits_for_room_for_a_while(bundles: Bundles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime_bodies, "WAIT_SECONDS", 0.1)
    monkeypatch.setattr(runtime_bodies, "GRACE_SECONDS", 60)
    with ExitStack() as stack:
        server = stack.enter_context(LiveServer.on_bundle(bundles("v2"), engine="echo", max_batch=1, max_queue=0))
        stack.enter_context(half_a_body(server, size=SMALL_BODY + 1, length=4 * QUARTER))
        until(lambda: server.service.admission.bodies.large, "the body to begin")
        check_error(large(server, "too early"), 429, "queue_full")
        assert server.chat("hello").status_code == 200


@pytest.mark.slow
def test_of_several_slow_bodies_the_slowest_gives_way(bundles: Bundles) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(LiveServer.on_bundle(bundles("v2"), engine="echo", max_batch=1, max_queue=1))
        fast = stack.enter_context(half_a_body(server, size=10 * SMALL_BODY, length=2 * QUARTER))
        slow = stack.enter_context(half_a_body(server, size=SMALL_BODY + 1, length=2 * QUARTER))
        bodies = server.service.admission.bodies.large
        until(lambda: {one.size for one in list(bodies)} == {SMALL_BODY + 1, 10 * SMALL_BODY}, "both to begin")
        until(lambda: all(time.monotonic() - one.since > GRACE_SECONDS for one in list(bodies)), "grace to end")
        assert large(server, "hello").status_code == 200
        assert slow.recv(4096).startswith(b"HTTP/1.1 408 ")
        assert [one.size for one in bodies] == [10 * SMALL_BODY]
        fast.close()


def test_a_client_with_many_bodies_makes_room_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, however short a time they have had."""
    monkeypatch.setattr(runtime_bodies, "GRACE_SECONDS", 60)
    arriving = RuntimeBodies(lambda: 4, lambda: QueueFull(1))

    async def stalls(body: Arriving) -> None:
        await body.grow(SMALL_BODY + 1, 0.25)
        await asyncio.sleep(60)

    async def arrives(body: Arriving) -> str:
        await body.grow(SMALL_BODY + 1, 0.25)
        return "read"

    async def run() -> None:
        slow = [asyncio.create_task(arriving.read("crowd", stalls)) for _ in range(4)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert await arriving.read("another", arrives) == "read"
        ended, _ = await asyncio.wait(slow, return_when=asyncio.FIRST_COMPLETED)
        assert [type(task.exception()) for task in ended] == [RequestTimeout]
        for task in slow:
            task.cancel()
        await asyncio.gather(*slow, return_exceptions=True)

    asyncio.run(run())
    assert not arriving.arriving and not arriving.large


@pytest.mark.parametrize("path", POSTS)
def test_a_client_that_leaves_within_its_body_is_no_error(
    echo_server: LiveServer, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        with half_a_body(echo_server, path):
            until(lambda: echo_server.service.admission.bodies.arriving, "the body to begin")
        until(lambda: f"POST {path} 499" in caplog.text, "the request to end")
    assert not [record for record in caplog.records if record.levelno > logging.INFO]
    assert not echo_server.service.admission.bodies.arriving


@pytest.mark.slow
def test_behind_a_body_without_end_the_connection_is_closed(echo_server: LiveServer) -> None:
    """The refusal is not the end of it: who sends on would keep the connection, and the server reading, for ever."""
    with socket.create_connection(echo_server.address, timeout=20) as connection:
        head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        connection.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n")
        block = b"40000\r\n" + b" " * 0x40000 + b"\r\n"
        with suppress(ConnectionError):
            # what the server may read before it cuts the connection, and what the kernel holds
            for _ in range(13 * Settings().max_body // 0x40000):
                connection.sendall(block)
            pytest.fail("the server read on and on")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("length", "closes"),
    [(b"Transfer-Encoding: chunked", True), (b"Content-Length: 1000000000", True), (b"Content-Length: 60000", False)],
)
def test_who_may_send_without_end_is_told_that_the_connection_ends(
    bundles: Bundles, length: bytes, closes: bool
) -> None:
    with LiveServer.on_bundle(bundles("v2"), engine="echo", max_body=50_000) as server:
        head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" + length
        with socket.create_connection(server.address, timeout=20) as connection:
            # a length is refused as soon as it is announced
            connection.sendall(head + b"\r\n\r\n" + (b"ea60\r\n" + b" " * 60_000 if b"chunked" in length else b""))
            answer = connection.recv(4096)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert (b"connection: close" in answer.lower()) == closes
