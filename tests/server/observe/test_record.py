"""The record of a request: what its readers get to know, however it went."""

import json
import socket
import struct
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from edgevlm_server.http.access.key_file import add_key
from edgevlm_server.http.access.keys import KeyRing
from edgevlm_server.model import load_model
from edgevlm_server.observe.record import RequestRecord
from edgevlm_server.settings import Settings

from tests.live import LiveServer, sse
from tests.pictures import data_url, image_part, text_part, user
from tests.server.engines import FailingEngine, SlowEngine, until
from tests.server.observe.recorded import Records

Bundles = Callable[[str], Path]


@pytest.fixture(scope="module")
def server(bundles: Bundles) -> Iterator[LiveServer]:
    with LiveServer.on_bundle(bundles("v2"), engine="echo") as server:
        yield server


@pytest.fixture(scope="module")
def every(server: LiveServer) -> Records:
    return Records(server)


@pytest.fixture
def records(every: Records) -> Iterator[Records]:
    yield every
    assert not every._read


def stages(record: RequestRecord) -> list[str]:
    """Checks on the way that they follow each other without gaps, within the request."""
    passed = record.passed
    assert record.ended is not None
    for before, after in pairwise(passed):
        assert before.ended == after.began
    if passed:
        assert record.arrived <= passed[0].began
        assert passed[-1].ended == pytest.approx(record.ended)
        assert all(one.seconds >= 0 for one in passed)
    return [one.stage for one in passed]


@pytest.mark.parametrize("stream", [False, True])
def test_of_an_answer_all_is_known(server: LiveServer, records: Records, stream: bool) -> None:
    body = {"messages": user(image_part(data_url((9, 9, 9))), text_part()), "max_tokens": 6, "stream": stream, "n": 2}
    sent = json.dumps(body).encode()
    headers = {"content-type": "application/json", "x-request-id": "frame-7"}
    response = server.client.post("/v1/chat/completions", content=sent, headers=headers)
    assert response.status_code == 200
    record = records.next()
    assert (record.id, record.method, record.route) == ("frame-7", "POST", "/v1/chat/completions")
    assert (record.status, record.code, record.outcome, record.stream) == (200, None, "ok", stream)
    assert (record.address, record.client, record.model) == ("127.0.0.1", None, "v2")
    assert (record.received, record.sent) == (len(sent), len(response.content))
    assert (record.pictures, record.answers, record.completion) == (1, 2, 12)
    assert record.prompt > record.cached
    assert stages(record) == ["body", "prepare", "pictures", "queue", "prefill", "decode", "send"]


def test_usage_is_what_the_client_was_told(server: LiveServer, records: Records) -> None:
    usage = server.chat("How many?", max_tokens=5).json()["usage"]
    record = records.next()
    assert (record.prompt, record.completion) == (usage["prompt_tokens"], usage["completion_tokens"])
    assert record.pictures == 0
    assert "pictures" not in stages(record)


def test_decisions_are_scored(server: LiveServer, records: Records) -> None:
    question = {"type": "predicate", "instructions": "Is a bolt missing?"}
    body = {"input": "A flange.", "questions": [question, question]}
    response = server.client.post("/v1/decisions", json=body)
    usage = response.json()["usage"]
    record = records.next()
    assert (record.answers, record.outcome, record.model) == (2, "ok", "v2")
    assert (record.prompt, record.completion) == (usage["input_tokens"], usage["output_tokens"])
    assert stages(record) == ["body", "prepare", "queue", "score", "send"]


@pytest.mark.parametrize(
    ("method", "path", "route", "status", "code"),
    [
        ("GET", "/health", "/health", 200, None),
        ("HEAD", "/health//", "/health", 200, None),
        ("GET", "/v1/models/v2", "/v1/models/{model:path}", 200, None),
        ("GET", "/v1/models/other", "/v1/models/{model:path}", 404, "model_not_found"),
        ("GET", "/nowhere", None, 404, "not_found"),
        ("POST", "/health", "/health", 405, "method_not_allowed"),
        ("POST", "/v1/chat/completions", "/v1/chat/completions", 415, "unsupported_media_type"),
    ],
)
def test_any_request_has_a_route_and_an_error_code(
    server: LiveServer, records: Records, method: str, path: str, route: str | None, status: int, code: str | None
) -> None:
    assert server.client.request(method, path).status_code == status
    record = records.next()
    assert (record.method, record.path, record.route) == (method, path, route)
    assert (record.status, record.code) == (status, code)
    assert record.outcome == ("ok" if status == 200 else "refused")


def test_a_foreign_name_is_refused_before_there_is_a_route(server: LiveServer, records: Records) -> None:
    assert server.client.get("/metrics", headers={"host": "evil.example"}).status_code == 403
    record = records.next()
    assert (record.route, record.code) == (None, "host_not_allowed")


@pytest.mark.slow
def test_a_key_has_a_name_and_a_wrong_one_an_address(bundles: Bundles, tmp_path: Path) -> None:
    key = add_key(tmp_path / "keys", "camera-1")
    settings = Settings(engine="echo", api_keys=tmp_path / "keys")
    ring = KeyRing.load(tmp_path / "keys")
    with LiveServer(lambda: load_model(bundles("v2"), settings), settings, ring) as server:
        records = Records(server)
        server.client.get("/v1/models", headers={"authorization": f"Bearer {key}"})
        known = records.next()
        server.client.get("/v1/models", headers={"authorization": "Bearer wrong"})
        unknown = records.next()
    assert (known.client, known.status) == ("camera-1", 200)
    assert (unknown.client, unknown.status, unknown.code) == (None, 401, "invalid_api_key")
    assert (unknown.address, unknown.route) == ("127.0.0.1", "/v1/models")


@pytest.mark.slow
@pytest.mark.parametrize("stream", [False, True])
def test_who_leaves_is_noted_with_what_was_done(bundles: Bundles, stream: bool) -> None:
    engine = SlowEngine(bundles("v2"), slots=1, seconds=0.1)
    with LiveServer.on_engine(bundles("v2"), engine) as server:
        records = Records(server)
        body = {"messages": user(text_part("hello")), "max_tokens": 500, "stream": stream, "ignore_eos": True}
        leave_after(server, body, lambda: engine.decoded > 3)
        record = records.next()
    assert (record.outcome, record.status) == ("left", 200 if stream else 499)
    assert 3 < record.completion < 500
    assert stages(record)[-2:] == ["prefill", "decode"]


@pytest.mark.slow
def test_who_leaves_the_queue_was_never_taken_in(bundles: Bundles) -> None:
    engine = SlowEngine(bundles("v2"), slots=1)
    with LiveServer.on_engine(bundles("v2"), engine) as server:
        engine.gate.clear()
        with send(server, {"messages": user(text_part("first")), "max_tokens": 2}) as first:
            until(lambda: engine.held, "the first to be in its slot")
            records = Records(server)
            leave_after(server, {"messages": user(text_part("second"))}, lambda: server.service.admission.inside == 2)
            until(lambda: server.service.loaded().batcher._inbox.qsize() == 2, "its end to be asked for")
            engine.gate.set()
            assert first.recv(4096).startswith(b"HTTP/1.1 200 ")
        found = {record.outcome: record for record in (records.next(), records.next())}
    assert (found["left"].completion, stages(found["left"])[-1]) == (0, "queue")


@pytest.mark.slow
def test_an_error_within_a_stream_is_a_failure(bundles: Bundles) -> None:
    with LiveServer.on_engine(bundles("v2"), FailingEngine(bundles("v2"), slots=1, fail_at=20)) as server:
        records = Records(server)
        body = {"messages": user(text_part("hello")), "stream": True, "max_tokens": 50}
        with server.client.stream("POST", "/v1/chat/completions", json=body) as response:
            events = list(sse(response))
        record = records.next()
    assert response.status_code == record.status
    assert record.outcome == "failed"
    assert record.code == next(
        event["error"]["code"] for event in events if isinstance(event, dict) and "error" in event
    )


@pytest.mark.slow
def test_a_reader_that_fails_harms_nobody(bundles: Bundles, caplog: pytest.LogCaptureFixture) -> None:
    def broken(record: RequestRecord) -> None:
        raise ValueError("a mistake in a reader")

    with LiveServer.on_bundle(bundles("v2"), engine="echo") as server:
        server.service.readers.add(broken)
        records = Records(server)
        assert server.chat("hello", max_tokens=2).status_code == 200
        assert records.next().outcome == "ok"
    assert "a mistake in a reader" in caplog.text


def send(server: LiveServer, body: dict[str, Any]) -> socket.socket:
    data = json.dumps(body).encode()
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    connection = socket.create_connection(server.address, timeout=20)
    connection.sendall(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
    return connection


def leave_after(server: LiveServer, body: dict[str, Any], condition: Callable[[], object]) -> None:
    """By a reset: who only says that nothing more comes may still want the answer."""
    with send(server, body) as connection:
        until(condition, "the moment to leave")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
