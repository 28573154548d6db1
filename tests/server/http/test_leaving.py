"""Ends that meet: a client that leaves just as it is queued, a server that stops, an engine that fails unheard."""

import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from edgevlm_engines import Floats
from edgevlm_server.device.device import Device
from edgevlm_server.device.root import Root
from edgevlm_server.guided import compiler
from edgevlm_server.guided.sandbox import Failure

from tests.live import LiveServer
from tests.pictures import data_url, image_part, text_part, user
from tests.server.engines import HangingSight, SlowEngine, until
from tests.server.http.refusing import check_error

Bundles = Callable[[str], Path]


def send_and_leave(server: LiveServer, body: bytes) -> None:
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    length = f"Content-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(server.address, timeout=20) as connection:
        connection.sendall((head + length).encode() + body)


@pytest.mark.slow
def test_who_leaves_while_it_is_queued_leaves_nothing_running(bundles: Bundles) -> None:
    with LiveServer.on_bundle(bundles("v2"), engine="echo", max_queue=100) as server:
        body = b'{"messages": [{"role": "user", "content": "tell me about the gauge"}], "max_tokens": 20}'
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: send_and_leave(server, body), range(150)))
        received = "edgevlm_requests_received_total"
        until(lambda: server.metrics()[received] == 150, "all requests to be read")
        until(lambda: server.service.admission.inside == 0, "all places to be free")
        until(lambda: not server.service.loaded().batcher._open, "all sequences to end")
        series = server.metrics()

        def total(name: str) -> float:
            return sum(value for key, value in series.items() if key.startswith(f"edgevlm_{name}_total"))

        assert total("requests_received") == total("requests_accepted") + total("admission_rejections") == 150
        ended = total("requests_completed") + total("requests_cancelled") + total("requests_failed")
        assert total("requests_accepted") == ended


@pytest.mark.slow
def test_a_drain_ends_who_waits_for_a_grammar(bundles: Bundles, monkeypatch: pytest.MonkeyPatch) -> None:
    let_go = threading.Event()
    monkeypatch.setattr(compiler, "tried", lambda grammar, seconds: let_go.wait(120) and Failure.BAD)
    with (
        ThreadPoolExecutor(6) as pool,
        LiveServer.on_bundle(bundles("v2"), engine="echo", drain_timeout=0.1) as server,
    ):
        asked = [pool.submit(server.chat, "hi", guided_regex=f"a{n}") for n in range(6)]
        until(lambda: server.service.admission.inside == 6, "all to wait")
        server.loop.call_soon_threadsafe(server._stop.set)
        for one in asked:
            check_error(one.result(), 503, "shutting_down")
        let_go.set()


@pytest.mark.slow
def test_a_sensor_that_does_not_answer_keeps_no_request(bundles: Bundles, monkeypatch: pytest.MonkeyPatch) -> None:
    let_go = threading.Event()
    monkeypatch.setattr(compiler, "tried", lambda grammar, seconds: let_go.wait(120) and Failure.BAD)
    device = Device(Root(Path("/nothing")))
    monkeypatch.setattr(device, "close", lambda: let_go.wait(120))
    with (
        ThreadPoolExecutor(1) as pool,
        LiveServer.on_bundle(bundles("v2"), engine="echo", drain_timeout=0.1) as server,
    ):
        server.service.device = device
        asked = pool.submit(server.chat, "hi", guided_regex="a")
        until(lambda: server.service.admission.inside == 1, "it to wait")
        server.loop.call_soon_threadsafe(server._stop.set)
        try:
            check_error(asked.result(60), 503, "shutting_down")
        finally:
            let_go.set()


@pytest.mark.slow
def test_an_encoder_that_fails_is_noticed_though_nobody_waits(bundles: Bundles) -> None:
    class Blind(SlowEngine):
        began = False

        def encode_images(self, pixels: Floats) -> Floats:
            self.began = True
            assert self.gate.wait(120)
            raise RuntimeError("injected: no vision")

    engine = Blind(bundles("v2"), slots=2)
    with LiveServer.on_engine(bundles("v2"), engine) as server:
        engine.gate.clear()
        with ThreadPoolExecutor(1) as pool:
            pool.submit(server.client.post, "/v1/chat/completions", json={"messages": question(1)})
            until(lambda: engine.began, "the picture to be encoded")
            for work in list(server.service._preparing):
                server.loop.call_soon_threadsafe(work.give_up, RuntimeError("stands for a client that left"))
        engine.gate.set()
        until(lambda: server.service.state == "dead", "the failure to be noticed")


@pytest.mark.slow
def test_closing_does_not_work_through_the_queue_of_pictures(bundles: Bundles) -> None:
    engine = HangingSight(bundles("v2"), slots=8)
    with ThreadPoolExecutor(6) as pool:
        with LiveServer.on_engine(bundles("v2"), engine, drain_timeout=0.0) as server:
            asked = [
                pool.submit(
                    httpx.post, f"{server.url}/v1/chat/completions", json={"messages": question(n)}, timeout=60
                )
                for n in range(6)
            ]
            until(lambda: server.service.admission.inside == 6, "all to be inside")
            until(lambda: engine.began == 1, "the first picture to be encoded")
            server.loop.call_soon_threadsafe(server._stop.set)
            until(lambda: server.service._loaded is None, "the server to close")
            engine.let_go.set()
        assert engine.began == 1
        assert {one.result().status_code for one in asked} <= {200, 503}


def question(colour: int) -> list[dict[str, Any]]:
    return user(image_part(data_url((colour, 9 * colour, colour))), text_part())
