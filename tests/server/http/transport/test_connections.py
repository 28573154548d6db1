"""Connections: how many, how long they may be silent, and which end of one is the end of a request."""

import json
import logging
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from edgevlm_server.http.transport import h11_protocol
from edgevlm_server.http.transport.connections import Connections
from edgevlm_server.http.transport.h11_protocol import HttpConfig
from edgevlm_server.observe.record import Readers
from edgevlm_server.settings import Settings

from tests.live import LiveServer
from tests.server.engines import SlowEngine, until

Bundles = Callable[[str], Path]

GET = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"


@contextmanager
def connected(server: LiveServer, source: str = "127.0.0.1") -> Iterator[socket.socket]:
    with socket.create_connection(server.address, timeout=20, source_address=(source, 0)) as connection:
        yield connection


def post(*, stream: bool = False, content: str = "hello") -> bytes:
    body = json.dumps({"messages": [{"role": "user", "content": content}], "stream": stream}).encode()
    head = f"Host: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"POST /v1/chat/completions HTTP/1.1\r\n{head}\r\n".encode() + body


def rest(connection: socket.socket) -> bytes:
    """All that comes until the server ends the connection."""
    return connection.makefile("rb").read()


def served(connection: socket.socket) -> bool:
    connection.sendall(GET)
    answer = b""
    while not answer.endswith(b'"}') and (block := connection.recv(4096)):
        answer += block
    return answer.startswith(b"HTTP/1.1 200 ")


# -- how long --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hasty(bundles: Bundles) -> Iterator[LiveServer]:
    with LiveServer.on_bundle(bundles("v2"), engine="echo", head_timeout=3.0) as server:
        yield server


@pytest.mark.slow
def test_who_says_nothing_is_told_nothing(hasty: LiveServer) -> None:
    with connected(hasty) as connection:
        assert rest(connection) == b""


@pytest.mark.slow
@pytest.mark.parametrize("before", [b"", GET])
def test_a_head_that_does_not_come_to_its_end_is_told_so(hasty: LiveServer, before: bytes) -> None:
    """The first of a connection, or a later one."""
    with connected(hasty) as connection:
        if before:
            assert served(connection)
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n")
        head, _, body = rest(connection).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ") and b"connection: close" in head and b"x-request-id: " in head
    error = json.loads(body)["error"]
    assert error["code"] == "request_timeout" and "3 s" in error["message"]


def test_what_never_becomes_a_request_is_counted_and_logged(
    hasty: LiveServer, caplog: pytest.LogCaptureFixture
) -> None:
    series = 'edgevlm_request_errors_total{code="invalid_http"}'
    before = hasty.metrics()[series]
    with caplog.at_level(logging.INFO, "edgevlm.access"), connected(hasty) as connection:
        connection.sendall(b"no such thing\r\n\r\n")
        head = rest(connection).partition(b"\r\n\r\n")[0]
    [line] = [record for record in caplog.records if record.name == "edgevlm.access"]
    assert line.getMessage().startswith("- - 400 refused ")
    fields: dict[str, object] = line.__dict__["fields"]
    assert (fields["code"], fields["address"]) == ("invalid_http", "127.0.0.1")
    assert f"x-request-id: {fields['id']}".encode() in head
    assert hasty.metrics()[series] == before + 1


@pytest.mark.slow
def test_bytes_that_trickle_win_no_time(hasty: LiveServer) -> None:
    with connected(hasty) as connection:
        connection.settimeout(0.1)
        answer = b""
        for byte in b"GET /health HTTP/1.1\r\n" + b"X: " + b"a" * 1000:
            connection.sendall(bytes([byte]))
            try:
                answer = connection.recv(4096)
            except TimeoutError:
                continue
            break
    assert answer.startswith(b"HTTP/1.1 408 ")


@pytest.mark.slow
def test_a_kept_connection_outlasts_the_time_for_a_head(hasty: LiveServer) -> None:
    with connected(hasty) as connection:
        assert served(connection)
        time.sleep(3.5)
        assert served(connection)


@pytest.mark.slow
def test_how_long_an_idle_connection_is_kept_is_a_setting(bundles: Bundles) -> None:
    with (
        LiveServer.on_bundle(bundles("v2"), engine="echo", keep_alive=1.0) as server,
        connected(server) as connection,
    ):
        assert served(connection)
        assert rest(connection) == b""
    assert HttpConfig(_nothing, Settings(), 1, Readers()).timeout_keep_alive == 75


async def _nothing(scope: object, receive: object, send: object) -> None:
    """Stands in for an application that is never called."""


# -- how many --------------------------------------------------------------------------------------------------------


def is_refused(connection: socket.socket) -> bool:
    head, _, body = rest(connection).partition(b"\r\n\r\n")
    return (
        head.startswith(b"HTTP/1.1 503 ")
        and b"retry-after: " in head
        and json.loads(body)["error"]["code"] == "too_many_connections"
    )


@pytest.mark.slow
def test_one_address_leaves_room_for_others(bundles: Bundles) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(
            LiveServer.on_bundle(bundles("v2"), engine="echo", max_connections_per_address=3)
        )
        silent = [stack.enter_context(connected(server)) for _ in range(3)]
        assert is_refused(stack.enter_context(connected(server)))
        assert served(stack.enter_context(connected(server, "127.0.0.2")))
        silent[0].close()
        until(lambda: serves_one(server), "the place to be free")


def serves_one(server: LiveServer, source: str = "127.0.0.1") -> bool:
    with connected(server, source) as connection:
        return served(connection)


@pytest.mark.slow
def test_all_addresses_together_have_a_bound(bundles: Bundles) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(LiveServer.on_bundle(bundles("v2"), engine="echo", max_connections=3))
        silent = [stack.enter_context(connected(server, f"127.0.0.{n}")) for n in (1, 2, 3)]
        assert is_refused(stack.enter_context(connected(server, "127.0.0.4")))
        silent[0].close()
        until(lambda: serves_one(server, "127.0.0.4"), "the place to be free")


@pytest.mark.slow
def test_silent_connections_lock_nobody_out_for_long(bundles: Bundles) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(
            LiveServer.on_bundle(bundles("v2"), engine="echo", max_connections=3, head_timeout=6.0)
        )
        for _ in range(3):
            stack.enter_context(connected(server))
        assert is_refused(stack.enter_context(connected(server)))
        until(lambda: serves_one(server), "the silent ones to be given up")


def addresses(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Of the clients in the access log."""
    return [record.__dict__["fields"]["address"] for record in caplog.records if record.name == "edgevlm.access"]


@pytest.mark.slow
def test_a_trusted_proxy_speaks_for_many(bundles: Bundles, caplog: pytest.LogCaptureFixture) -> None:
    settings = {"max_connections_per_address": 1, "trusted_proxies": ("127.0.0.1", "127.1.0.0/16")}
    get = b"GET /v1/models HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 10.9.8.7\r\n\r\n"
    with ExitStack() as stack, caplog.at_level(logging.INFO):
        server = stack.enter_context(LiveServer.on_bundle(bundles("v2"), engine="echo", **settings))
        for source in ("127.0.0.1", "127.0.0.1", "127.1.2.3", "127.1.2.3", "127.0.0.2"):
            connection = stack.enter_context(connected(server, source))
            connection.sendall(get)
            assert connection.recv(4096).startswith(b"HTTP/1.1 200 ")
        assert is_refused(stack.enter_context(connected(server, "127.0.0.2")))
        until(lambda: addresses(caplog).count("10.9.8.7") == 4, "four lines in the log")
    assert addresses(caplog).count("127.0.0.2") == 1


def test_without_trusted_proxies_nobody_speaks_for_others(
    echo_server: LiveServer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        echo_server.client.get("/v1/models", headers={"x-forwarded-for": "10.9.8.7"})
        until(lambda: "127.0.0.1" in addresses(caplog), "the line in the log")
    assert "10.9.8.7" not in caplog.text


def test_addresses_of_one_machine_are_one() -> None:
    open_ = Connections(most=10, most_of_one=1)
    assert open_.enter("2001:db8::1") and not open_.enter("2001:db8::ffff:2")
    assert open_.enter("2001:db8:0:1::1")
    assert open_.enter("::ffff:10.0.0.1") and not open_.enter("10.0.0.1")
    assert open_.enter("fe80::1%eth0") and not open_.enter("fe80::2%eth0")
    open_.leave("10.0.0.1")
    assert open_.enter("10.0.0.1")


def test_whoever_is_not_let_in_is_not_counted() -> None:
    open_ = Connections(most=2, most_of_one=1)
    assert open_.enter("10.0.0.1")
    assert not any(open_.enter("10.0.0.1") for _ in range(5))
    assert open_.enter("10.0.0.2") and not open_.enter("10.0.0.3")
    open_.refused_left()
    assert (open_.open, open_.refused, open_.lingering) == (2, 6, 5)


# -- the end of one side ---------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("stream", [True, False])
def test_who_ends_its_side_with_its_request_gets_the_answer(
    bundles: Bundles, stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # a machine that is busy with other tests may hold this one up between its two calls
    monkeypatch.setattr(h11_protocol, "HALF_CLOSE_SECONDS", 20)
    engine = SlowEngine(bundles("v2"), slots=1)
    engine.gate.clear()
    with LiveServer.on_engine(bundles("v2"), engine) as server, connected(server) as connection:
        connection.sendall(post(stream=stream))
        connection.shutdown(socket.SHUT_WR)
        # what is answered now comes after the end of the first connection's side
        server.metrics()
        engine.gate.set()
        answer = rest(connection)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert (b"data: [DONE]" if stream else b'"finish_reason":"stop"') in answer


def test_who_sends_several_requests_and_ends_its_side_gets_all_answers(
    echo_server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(h11_protocol, "HALF_CLOSE_SECONDS", 20)
    with connected(echo_server) as connection:
        connection.sendall(post() + post(content="again") + GET)
        connection.shutdown(socket.SHUT_WR)
        assert rest(connection).count(b"HTTP/1.1 200 OK") == 3


def test_who_ends_its_side_within_its_request_has_left(echo_server: LiveServer) -> None:
    for request in (post()[:-5], GET[:-5], b""):
        with connected(echo_server) as connection:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            assert not rest(connection).startswith(b"HTTP/1.1 2")
    until(lambda: echo_server.service.admission.inside == 0, "everyone to leave")


@pytest.mark.slow
def test_who_ends_its_side_and_vanishes_during_a_stream_frees_its_slot(bundles: Bundles) -> None:
    engine = SlowEngine(bundles("v2"), slots=1)
    engine.seconds = 0.1
    with LiveServer.on_engine(bundles("v2"), engine) as server:
        with connected(server) as connection:
            connection.sendall(post(stream=True, content="tell me " * 30))
        until(lambda: server.metrics()["edgevlm_requests_received_total"] == 1, "the request to be read")
        until(lambda: server.service.admission.inside == 0, "the slot to be free")
        assert engine.decoded < 150, "it went on to the end"
