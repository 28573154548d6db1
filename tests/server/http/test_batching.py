"""Requests that run together: they join and leave at any step, do not disturb each other, and all of them end."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from edgevlm_server.http.transport.h11_protocol import HALF_CLOSE_SECONDS

from tests.live import LiveServer, sse
from tests.pictures import data_url, image_part, text_part, user
from tests.server.engines import FailingEngine, HangingSight, PickyEngine, PoisonedEngine, SlowEngine, until

Bundles = Callable[[str], Path]


def inside(server: LiveServer) -> int:
    return server.service.admission.inside


def balanced(server: LiveServer) -> dict[str, float]:
    """The metrics, once nobody is inside any more; checks that every accepted request has ended once."""
    until(lambda: inside(server) == 0, "everyone to leave")
    metrics = server.metrics()
    ended = [metrics[f"edgevlm_requests_{how}_total"] for how in ("completed", "failed", "cancelled")]
    assert metrics["edgevlm_requests_accepted_total"] == sum(ended)
    assert metrics["edgevlm_num_requests_running"] == metrics["edgevlm_num_requests_waiting"] == 0
    return metrics


@pytest.fixture
def slow(bundles: Bundles) -> Iterator[tuple[LiveServer, SlowEngine]]:
    engine = SlowEngine(bundles("v2"), slots=4)
    with LiveServer.on_engine(bundles("v2"), engine, max_queue=8) as server:
        yield server, engine
        engine.gate.set()


def questions() -> list[dict[str, Any]]:
    """Eight requests of different pictures, lengths, numbers of images and sampling."""
    bodies: list[dict[str, Any]] = []
    for index in range(8):
        parts = [image_part(data_url((30 * index, 200 - 20 * index, 90))) for _ in range(index % 3)]
        text = "word " * (3 * index) + "?"
        sampling = {"temperature": 1.2, "seed": index, "top_p": 0.9} if index % 2 else {}
        bodies.append({"messages": user(*parts, text_part(text)), "max_tokens": 8 + 7 * index, **sampling})
    return bodies


@pytest.mark.slow
@pytest.mark.parametrize("case", ["v1", "v2"])
def test_eight_at_once_get_token_for_token_what_each_gets_alone(
    bundles: Bundles, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LiveServer.on_bundle(bundles(case), max_batch=5, max_length=600) as server:
        bodies = questions()

        def answer(body: dict[str, Any]) -> tuple[str, str, int]:
            reply = server.client.post("/v1/chat/completions", json=body).json()
            choice = reply["choices"][0]
            return choice["message"]["content"], choice["finish_reason"], reply["usage"]["completion_tokens"]

        alone = [answer(body) for body in bodies]
        engine, gate = server.service.loaded().model.engine, threading.Event()
        prefill = engine.prefill
        monkeypatch.setattr(engine, "prefill", lambda *given: gate.wait(110) and prefill(*given))
        for _ in range(3):
            gate.clear()
            with ThreadPoolExecutor(8) as pool:
                asked = [pool.submit(answer, body) for body in bodies]
                until(lambda: inside(server) == 8, "all eight to be inside")
                gate.set()
                assert [one.result() for one in asked] == alone
        assert len({text for text, _, _ in alone}) == 8
        metrics = balanced(server)
        assert metrics['edgevlm_decode_batch_size_bucket{le="2.0"}'] < metrics["edgevlm_decode_batch_size_count"]


@pytest.mark.slow
def test_requests_share_steps(slow: tuple[LiveServer, SlowEngine]) -> None:
    server, engine = slow
    engine.gate.clear()
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(server.chat, f"request {n}") for n in range(4)]
        until(lambda: server.metrics()["edgevlm_requests_accepted_total"] == 4, "all four to be accepted")
        engine.gate.set()
        replies = [one.result() for one in asked]
    assert all(reply.json()["choices"][0]["message"]["content"].endswith("ASSISTANT:") for reply in replies)
    assert engine.widest == 4
    balanced(server)


def open_chat(server: LiveServer, *, stream: bool, content: object = "tell me " * 30) -> socket.socket:
    """Send a request by hand, so that the test decides when the connection goes away."""
    body = json.dumps({"messages": [{"role": "user", "content": content}], "stream": stream}).encode()
    connection = socket.create_connection(server.address, timeout=20)
    connection.sendall(
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    )
    return connection


def leave(connection: socket.socket) -> None:
    """Close it late enough to be no client that has only ended its side."""
    time.sleep(1.5 * HALF_CLOSE_SECONDS)
    connection.close()


@pytest.mark.slow
@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_frees_its_slot(slow: tuple[LiveServer, SlowEngine], stream: bool) -> None:
    server, engine = slow
    engine.seconds = 0.1
    connection = open_chat(server, stream=stream)
    until(lambda: engine.decoded > 3, "the answer to begin")
    leave(connection)
    until(lambda: inside(server) == 0, "the slot to be free")
    assert engine.decoded < 150, "it went on to the end"
    engine.seconds = 0
    assert balanced(server)["edgevlm_requests_cancelled_total"] == 1
    assert server.chat("next").json()["choices"][0]["message"]["content"].endswith("next ASSISTANT:")


@pytest.mark.slow
@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_while_it_waits_is_forgotten(slow: tuple[LiveServer, SlowEngine], stream: bool) -> None:
    server, engine = slow
    engine.seconds = 0.1
    engine.gate.clear()
    running = [open_chat(server, stream=True) for _ in range(4)]
    until(lambda: inside(server) == 4, "four to run")
    waiting = open_chat(server, stream=stream)
    until(lambda: inside(server) == 5, "one to wait")
    leave(waiting)
    engine.gate.set()
    until(lambda: inside(server) <= 4, "the waiting one to be forgotten")
    for connection in running:
        connection.close()
    assert balanced(server)["edgevlm_requests_cancelled_total"] == 5


@pytest.mark.slow
def test_one_too_many_is_told_when_to_come_back(slow: tuple[LiveServer, SlowEngine]) -> None:
    server, engine = slow
    engine.gate.clear()
    # of the 12 places one is kept for other clients
    connections = [open_chat(server, stream=False, content="hello") for _ in range(11)]
    until(lambda: inside(server) == 11, "every place to be taken")
    refused = server.chat("one more")
    assert refused.status_code == 429
    assert refused.json()["error"]["code"] == "queue_full"
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert server.client.get("/health").status_code == server.client.get("/ready").status_code == 200
    engine.gate.set()
    for connection in connections:
        assert connection.recv(100).startswith(b"HTTP/1.1 200")
        connection.close()
    balanced(server)
    assert server.metrics()['edgevlm_admission_rejections_total{reason="queue_full"}'] == 1


@pytest.mark.slow
def test_an_engine_failure_ends_everyone_and_refuses_everyone_later(bundles: Bundles) -> None:
    engine = FailingEngine(bundles("v2"), slots=2, fail_at=12)
    engine.gate.clear()
    with LiveServer.on_engine(bundles("v2"), engine, max_queue=8) as server:
        with ThreadPoolExecutor(6) as pool:
            asked = [pool.submit(server.chat, "word " * 20) for _ in range(6)]
            until(lambda: server.metrics()["edgevlm_requests_accepted_total"] == 6, "all six to be accepted")
            engine.gate.set()
        for reply in (one.result() for one in asked):
            assert reply.status_code == 503
            assert reply.json()["error"]["code"] == "engine_unavailable"
            assert "device" not in reply.text
        until(lambda: server.service.state == "dead", "the server to know")
        later = server.chat("later")
        assert (later.status_code, later.json()["error"]["code"]) == (503, "engine_unavailable")
        assert server.client.get("/ready").status_code == 503
        assert server.client.get("/health").status_code == 200
        metrics = balanced(server)
        assert metrics["edgevlm_requests_failed_total"] == 6
        assert metrics['edgevlm_server_state{state="dead"}'] == 1


@pytest.mark.slow
def test_a_stream_that_has_begun_ends_with_an_error_event_and_no_done(bundles: Bundles) -> None:
    engine = FailingEngine(bundles("v2"), slots=2, fail_at=5)
    with LiveServer.on_engine(bundles("v2"), engine) as server:
        body = {"messages": [{"role": "user", "content": "hello"}], "stream": True}
        with server.client.stream("POST", "/v1/chat/completions", json=body) as response:
            assert response.status_code == 200
            events = list(sse(response))
        last = events[-1]
        assert isinstance(last, dict)
        assert last["error"]["code"] == "engine_unavailable"
        assert len(events) == 1 + 6 + 1


@pytest.mark.slow
def test_broken_numbers_end_one_request_and_spare_the_others(bundles: Bundles) -> None:
    with LiveServer.on_engine(bundles("v2"), SlowEngine(bundles("v2"), slots=1)) as server:
        expected = server.chat("hello").json()["choices"][0]["message"]["content"]
        tokenizer = server.service.loaded().model.tokenizer
    [*_, poison] = tokenizer.encode("Zebra", space_prefix=False)
    assert poison not in tokenizer.encode(expected, space_prefix=True)
    engine = PoisonedEngine(bundles("v2"), slots=4, poison=tokenizer.encode("Z", space_prefix=False)[0])
    with LiveServer.on_engine(bundles("v2"), engine) as server:
        with ThreadPoolExecutor(4) as pool:
            replies = list(pool.map(server.chat, ["hello", "Zebra", "hello", "hello"]))
        assert [reply.status_code for reply in replies] == [200, 500, 200, 200]
        assert replies[1].json()["error"]["code"] == "engine_error"
        assert replies[1].headers["x-should-retry"] == "false"
        assert {replies[n].json()["choices"][0]["message"]["content"] for n in (0, 2, 3)} == {expected}
        assert balanced(server)["edgevlm_requests_failed_total"] == 1


@pytest.mark.slow
def test_a_prompt_that_the_engine_refuses_ends_one_request_alone(bundles: Bundles) -> None:
    with LiveServer.on_engine(bundles("v2"), SlowEngine(bundles("v2"), slots=1)) as server:
        tokenizer = server.service.loaded().model.tokenizer
    engine = PickyEngine(bundles("v2"), slots=3, refused=tokenizer.encode("Z", space_prefix=False)[0])
    with LiveServer.on_engine(bundles("v2"), engine) as server:
        with ThreadPoolExecutor(3) as pool:
            replies = list(pool.map(server.chat, ["hello", "Zebra", "hello"]))
        assert [reply.status_code for reply in replies] == [200, 500, 200]
        assert server.service.state == "ready"
        assert balanced(server)["edgevlm_requests_failed_total"] == 1


@pytest.mark.slow
def test_a_client_that_leaves_after_stray_bytes_is_noticed_too(slow: tuple[LiveServer, SlowEngine]) -> None:
    """The parser stops reading at bytes that belong to no request, and would never see the end behind them."""
    server, engine = slow
    engine.seconds = 0.1
    connection = open_chat(server, stream=False)
    connection.sendall(b"\r\nGET /health HTTP/1.1\r\nHost: x\r\n\r\n")
    until(lambda: engine.decoded > 1, "the answer to begin")
    leave(connection)
    until(lambda: inside(server) == 0, "the slot to be free")
    assert engine.decoded < 150, "it went on to the end"


@pytest.mark.slow
def test_pictures_of_a_client_that_has_left_are_not_encoded(bundles: Bundles) -> None:
    engine = HangingSight(bundles("v2"), slots=1)
    with LiveServer.on_engine(bundles("v2"), engine) as server:
        parts = [image_part(data_url((n, n, n))) for n in range(3)]
        connection = open_chat(server, stream=False, content=[*parts, text_part()])
        until(lambda: engine.began == 1, "the first picture to be encoded")
        leave(connection)
        until(lambda: inside(server) == 0, "the place to be free")
        engine.let_go.set()
        rejected = 'edgevlm_admission_rejections_total{reason="client_left"}'
        until(lambda: server.metrics()[rejected] == 1, "the rejection, counted behind the place")
        balanced(server)
    assert engine.began == 1


@pytest.mark.slow
def test_bodies_that_never_come_take_no_place(bundles: Bundles) -> None:
    with LiveServer.on_bundle(bundles("v2"), engine="echo", max_batch=2, max_queue=2) as server:
        head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        half = [socket.create_connection(server.address, timeout=20) for _ in range(3)]
        for connection in half:
            connection.sendall(head + b"Content-Length: 100\r\n\r\n{")
        assert [server.chat("hello").status_code for _ in range(5)] == [200] * 5
        # a drain does not wait for them, and tells them
        server.loop.call_soon_threadsafe(server._stop.set)
        for connection in half:
            assert connection.recv(100).startswith(b"HTTP/1.1 503")
            connection.close()


@pytest.mark.slow
def test_refused_requests_do_not_shorten_the_advice_to_others(slow: tuple[LiveServer, SlowEngine]) -> None:
    server, _ = slow
    server.service.admission._seconds = 20
    for _ in range(20):
        assert server.chat("hi", temperature=-1).status_code == 400
    assert server.service.admission._seconds == 20
    server.chat("hi")
    assert server.service.admission._seconds < 20


@pytest.mark.slow
def test_slots_are_reused_by_many_more_requests_than_there_are_slots(bundles: Bundles) -> None:
    """Lengths, leavers and bad requests at random; each answer must be its own."""
    engine = SlowEngine(bundles("v2"), slots=3, seconds=0.0005)
    with LiveServer.on_engine(bundles("v2"), engine, max_queue=40) as server:

        def one(number: int) -> None:
            if number % 7 == 3:
                open_chat(server, stream=number % 2 == 0).close()
            elif number % 7 == 5:
                assert server.chat("x", temperature=-1).status_code == 400
            else:
                color = data_url((number % 256, number * 7 % 256, 5))
                parts = [image_part(color)] * (number % 3) + [text_part(f"number {number}" + " pad" * (number % 11))]
                reply = server.client.post("/v1/chat/completions", json={"messages": user(*parts)}).json()
                text = reply["choices"][0]["message"]["content"]
                assert f"number {number}{' pad' * (number % 11)} ASSISTANT:" in text

        with ThreadPoolExecutor(12) as pool:
            list(pool.map(one, range(200)))
        until(lambda: server.metrics()["edgevlm_requests_received_total"] == 200, "all to be read")
        metrics = balanced(server)
        assert metrics["edgevlm_requests_failed_total"] == 0


@pytest.mark.slow
def test_stopping_ends_what_runs_with_an_error_after_the_drain(bundles: Bundles) -> None:
    engine = SlowEngine(bundles("v2"), slots=1, seconds=0.05)
    replies: list[int] = []
    server = LiveServer.on_engine(bundles("v2"), engine, drain_timeout=3.0)
    with server:
        asked = [
            threading.Thread(target=lambda: replies.append(server.chat("word", ignore_eos=True).status_code))
            for _ in range(2)
        ]
        for thread in asked:
            thread.start()
        until(lambda: inside(server) == 2 and engine.decoded > 2, "the answer to begin")
        engine.gate.clear()  # while it is held up the server cannot close
        server.loop.call_soon_threadsafe(server._stop.set)
        until(lambda: server.service.state == "draining", "the drain to begin")
        refused = server.chat("late")
        engine.gate.set()
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "shutting_down")
        assert int(refused.headers["retry-after"]) >= 1
        for thread in asked:
            thread.join()
        assert replies == [503, 503]
