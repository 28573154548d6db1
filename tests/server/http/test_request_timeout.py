"""`--request-timeout`: a request ends in time, wherever it is, with one last word; and its slot is free."""

import json
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.live import LiveServer, sse
from tests.pictures import data_url, image_part, text_part, user
from tests.server.engines import HangingSight, SlowEngine, until
from tests.server.http.refusing import check_error

pytestmark = pytest.mark.slow

Bundles = Callable[[str], Path]

SECONDS = 2.0

ENDED = tuple(f"edgevlm_requests_{how}_total" for how in ("completed", "failed", "cancelled"))


@pytest.fixture(scope="module")
def hasty(bundles: Bundles) -> Iterator[tuple[LiveServer, SlowEngine]]:
    engine = SlowEngine(bundles("v2"), slots=1, seconds=0)
    with LiveServer.on_engine(bundles("v2"), engine, request_timeout=SECONDS) as server:
        yield server, engine


@pytest.fixture(autouse=True)
def free_afterwards(hasty: tuple[LiveServer, SlowEngine]) -> Iterator[None]:
    server, engine = hasty
    yield
    engine.gate.set()
    engine.seconds = 0
    until(lambda: server.chat("still there?", max_tokens=2).status_code == 200, "the server to answer again")
    until(lambda: not server.service.admission.inside, "the places to be free")
    metrics = server.metrics()
    assert metrics["edgevlm_requests_accepted_total"] == sum(metrics[name] for name in ENDED)


def test_a_whole_answer_is_a_504_that_is_not_to_be_tried_again(hasty: tuple[LiveServer, SlowEngine]) -> None:
    server, engine = hasty
    engine.seconds = 0.2
    refused = server.chat("tell me " * 20)
    check_error(refused, 504, "answer_timeout")
    assert refused.headers["x-should-retry"] == "false"


def test_a_stream_that_has_begun_ends_with_an_error_event(hasty: tuple[LiveServer, SlowEngine]) -> None:
    server, engine = hasty
    engine.seconds = 0.05
    body = {"messages": [{"role": "user", "content": "tell me"}], "stream": True, "ignore_eos": True}
    events: list[dict[str, Any] | str] = []
    while len(events) < 2:  # on a busy machine its time may be up before it begins
        with server.client.stream("POST", "/v1/chat/completions", json=body) as response:
            events = list(sse(response)) if response.status_code == 200 else []
    last = events[-1]
    assert isinstance(last, dict) and last["error"]["code"] == "answer_timeout"


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/decisions"])
def test_other_routes(hasty: tuple[LiveServer, SlowEngine], path: str) -> None:
    server, engine = hasty
    engine.seconds = 0.2
    before = server.metrics()
    questions = [{"type": "predicate", "instructions": "Is it?"} for _ in range(9)]
    body = {"input": "hello " * 9, **({"questions": questions} if path == "/v1/decisions" else {})}
    check_error(server.client.post(path, json=body), 504, "answer_timeout")
    after = server.metrics()
    completed, failed, cancelled = (after[name] - before[name] for name in ENDED)
    assert cancelled == 0, "its client has waited to the end"
    # its time may be up before it is queued; of a decisions request some sequences may be through, and its time may
    # be up just between two of them
    assert (completed, failed) in ((0, 0), (0, 1)) or (path == "/v1/decisions" and failed <= 1)


def test_one_that_waits_for_a_slot(hasty: tuple[LiveServer, SlowEngine]) -> None:
    server, engine = hasty
    engine.gate.clear()
    with ThreadPoolExecutor(2) as threads:
        both = [threads.submit(server.chat, "hello") for _ in range(2)]
        answers = [one.result() for one in both]
    for answer in answers:
        check_error(answer, 504, "answer_timeout")


def test_one_whose_body_does_not_come(hasty: tuple[LiveServer, SlowEngine]) -> None:
    server, _ = hasty
    with socket.create_connection(server.address, timeout=20) as connection:
        head = "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        connection.sendall(f"{head}Connection: close\r\nContent-Length: 100\r\n\r\n{{".encode())
        answer = connection.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 504 ") and b"answer_timeout" in answer
    assert server.metrics()['edgevlm_admission_rejections_total{reason="timeout"}'] >= 1


def test_one_whose_picture_is_not_through(bundles: Bundles) -> None:
    engine = HangingSight(bundles("v2"), slots=1)
    with LiveServer.on_engine(bundles("v2"), engine, request_timeout=SECONDS) as server:
        body = {"messages": user(image_part(data_url()), text_part())}
        check_error(server.client.post("/v1/chat/completions", json=body), 504, "answer_timeout")
        until(lambda: server.service.admission.inside == 0, "the places to be given back")
        engine.let_go.set()


def test_a_request_that_is_through_leaves_no_timer(bundles: Bundles) -> None:
    with LiveServer.on_bundle(bundles("v2"), engine="echo", request_timeout=1000.0) as server:
        for _ in range(20):
            assert server.chat("hi", max_tokens=1).status_code == 200
            assert server.client.post("/v1/chat/completions", content=json.dumps({})).status_code == 415
        timers = server.loop._scheduled  # type: ignore[attr-defined]
        assert not [one for one in timers if not one.cancelled() and one.when() - server.loop.time() > 500]


@pytest.mark.parametrize("path", ["/tokenize", "/v1/chat/completions/input_tokens"])
def test_counting_has_the_same_time(hasty: tuple[LiveServer, SlowEngine], path: str) -> None:
    server, _ = hasty
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"
    with socket.create_connection(server.address, timeout=20) as connection:
        connection.sendall(head.encode() + b"{")
        assert connection.recv(4096).startswith(b"HTTP/1.1 504")
