"""Clients that leave at any time and in any way, stop reading, or send too slowly: others are answered as ever."""

import json
import random
import socket
import struct
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pytest
from edgevlm_server.http.transport.h11_protocol import HALF_CLOSE_SECONDS

from tests.live import LiveServer
from tests.server.engines import SlowEngine, until
from tests.server.http.test_batching import balanced

Bundles = Callable[[str], Path]

HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


@pytest.fixture
def slow(bundles: Bundles) -> Iterator[tuple[LiveServer, SlowEngine]]:
    engine = SlowEngine(bundles("v2"), slots=2, seconds=0.001)
    with LiveServer.on_engine(bundles("v2"), engine, max_queue=30, head_timeout=2) as server:
        yield server, engine
        engine.gate.set()


def request(stream: bool, text: str = "left behind", **fields: object) -> bytes:
    body = json.dumps({"messages": [{"role": "user", "content": text}], "stream": stream, **fields}).encode()
    return HEAD + f"Content-Length: {len(body)}\r\n\r\n".encode() + body


MOMENTS = ("body", "queued", "prompt", "answer", "behind")


def finish(connection: socket.socket) -> None:
    connection.close()


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def end_writing(connection: socket.socket) -> None:
    connection.shutdown(socket.SHUT_WR)


def end_reading(connection: socket.socket) -> None:
    connection.shutdown(socket.SHUT_RD)
    connection.close()


@pytest.mark.slow
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("leave", [finish, reset, end_writing, end_reading])
def test_whenever_a_client_leaves_the_next_answer_is_right(
    slow: tuple[LiveServer, SlowEngine], leave: Callable[[socket.socket], None], stream: bool
) -> None:
    """Before its body, queued, in the prompt, within the answer, and behind it."""
    server, engine = slow
    for moment in MOMENTS:
        visit_and_leave(server, engine, moment, leave, stream)
        answer = server.chat(f"{moment} next").json()["choices"][0]["message"]["content"]
        assert answer.endswith(f"{moment} next ASSISTANT:")
    assert balanced(server)["edgevlm_requests_failed_total"] == 0


def visit_and_leave(
    server: LiveServer, engine: SlowEngine, moment: str, leave: Callable[[socket.socket], None], stream: bool
) -> None:
    admission = server.service.admission
    sent = request(stream, "word " * 8)
    # a place is given back a little behind the last byte of an answer
    until(lambda: admission.inside == 0, "the request before to be over")
    with ExitStack() as stack:
        if moment == "queued":
            engine.gate.clear()
            for _ in range(2):
                stack.enter_context(socket.create_connection(server.address, 20)).sendall(request(True, "before"))
            until(lambda: admission.inside == 2, "the others to be in front")
        if moment == "prompt":
            engine.gate.clear()
        decoded, inside = engine.decoded, admission.inside
        connection = stack.enter_context(socket.create_connection(server.address, 20))
        connection.sendall(sent[:-20] if moment == "body" else sent)
        if moment in ("queued", "prompt"):
            until(lambda: admission.inside == inside + 1, "it to be inside")
        if moment == "answer":
            until(lambda: engine.decoded > decoded + 2, "the answer to begin")
        if moment == "behind":
            until(lambda: admission.inside == 0 and engine.decoded > decoded, "the answer to end")
        if leave is end_writing:
            # sooner it would be a client that has said all it wants to say
            time.sleep(1.5 * HALF_CLOSE_SECONDS)
        leave(connection)
        engine.gate.set()


@pytest.mark.slow
def test_a_reader_that_stops_reading_holds_up_nobody(slow: tuple[LiveServer, SlowEngine]) -> None:
    server, engine = slow
    with ExitStack() as stack:
        for _ in range(2):
            connection = stack.enter_context(socket.socket())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            connection.connect(server.address)
            connection.sendall(request(True, "word " * 200, max_tokens=400))
        until(lambda: engine.decoded > 5, "both to begin")
        assert server.chat("hello").status_code == 200
        balanced(server)


@pytest.mark.slow
def test_hundreds_that_connect_and_leave_change_nothing(
    slow: tuple[LiveServer, SlowEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, _ = slow
    # all of them may be inside before the engine's thread hears that they have left
    monkeypatch.setattr(server.service.admission, "_queue", 300)
    chance = random.Random(11)

    def visit(index: int) -> None:
        sent = request(index % 2 == 0)
        with socket.create_connection(server.address, 20) as connection, suppress(OSError):
            connection.sendall(sent[: chance.choice([0, 10, len(HEAD), len(sent) - 1, len(sent)])])
            time.sleep(chance.uniform(0, 0.02))

    with ThreadPoolExecutor(20) as pool:
        visits = pool.map(visit, range(200))
        for index in range(10):
            answer = server.chat(f"good {index}").json()["choices"][0]["message"]["content"]
            assert answer.endswith(f"good {index} ASSISTANT:")
        list(visits)
    until(lambda: not server.service.admission.bodies.arriving, "bodies to be given up")
    # accepted behind all of those
    with httpx.Client(base_url=server.url, timeout=60) as last:
        assert last.get("/health").status_code == 200

    def adds_up() -> bool:
        """Not while a request is counted: one number rises behind the other."""
        now = server.metrics()
        rejected = sum(value for name, value in now.items() if name.startswith("edgevlm_admission_rejections_total"))
        return now["edgevlm_requests_received_total"] == now["edgevlm_requests_accepted_total"] + rejected

    until(lambda: not server.service.admission.inside and adds_up(), "the numbers to add up")
    balanced(server)


@pytest.mark.slow
def test_slow_senders_of_every_kind_keep_no_client_out(slow: tuple[LiveServer, SlowEngine]) -> None:
    """From several addresses, as each has a bound of its own: silent ones, heads that drip, bodies that drip."""
    server, _ = slow
    with ExitStack() as stack:

        def opened(address: str, count: int, first: bytes) -> list[socket.socket]:
            made = []
            for _ in range(count):
                made.append(stack.enter_context(socket.create_connection(server.address, 20, (address, 0))))
                made[-1].sendall(first)
            return made

        opened("127.0.0.2", 200, b"")
        heads = opened("127.0.0.3", 200, b"POST /v1/chat")
        bodies = opened("127.0.0.4", 20, HEAD + b"Content-Length: 1000\r\n\r\n{")
        began = time.monotonic()
        while time.monotonic() - began < 3:
            for connection in (*heads, *bodies):
                with suppress(OSError):
                    connection.sendall(b" ")
            assert server.chat("hello").status_code == 200
        for connection in heads:
            connection.settimeout(20)
            with suppress(ConnectionError):
                assert connection.recv(100).startswith(b"HTTP/1.1 408 ")
