"""When the engine is dead every request ends with a 503 in OpenAI's shape, wherever it waits."""

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from edgevlm_engines import Floats

from tests.live import LiveServer, sse
from tests.pictures import data_url, image_part, text_part, user
from tests.server.engines import HangingSight, SlowEngine, until
from tests.server.http.body.test_bodies import half_a_body
from tests.server.http.refusing import check_error

Bundles = Callable[[str], Path]


def question(colour: int) -> list[dict[str, Any]]:
    return user(image_part(data_url((colour, colour, colour))), text_part())


@pytest.mark.slow
def test_a_vision_encoder_that_hangs_keeps_nobody_waiting(bundles: Bundles, caplog: pytest.LogCaptureFixture) -> None:
    engine = HangingSight(bundles("v2"), slots=2)
    with (
        caplog.at_level(logging.INFO),
        LiveServer.on_engine(bundles("v2"), engine, engine_timeout=1.0) as server,
        ThreadPoolExecutor(8) as pool,
    ):

        def ask(path: str, **body: Any) -> Future[httpx.Response]:
            return pool.submit(httpx.post, f"{server.url}{path}", json=body, timeout=30)

        asked = [ask("/v1/chat/completions", messages=question(1))]
        until(lambda: engine.began == 1, "the picture to be encoded")
        # the same picture, another one, one after another, and another route
        asked += [ask("/v1/chat/completions", messages=question(colour)) for colour in (1, 2)]
        asked.append(ask("/v1/chat/completions", messages=[*question(3)], stream=True))
        url = data_url((4, 4, 4))
        decisions = {
            "input": [{"role": "user", "content": [{"type": "input_image", "image_url": url}]}],
            "questions": [{"type": "predicate", "instructions": "Is it on?"}],
        }
        asked.append(ask("/v1/decisions", **decisions))
        with half_a_body(server) as unfinished:
            for one in asked:
                check_error(one.result(), 503, "engine_unavailable")
            assert unfinished.recv(4096).startswith(b"HTTP/1.1 503 ")
        check_error(server.chat("too late"), 503, "engine_unavailable")
        assert server.service.admission.inside == 0
        engine.let_go.set()
    assert not [record for record in caplog.records if record.exc_info]
    assert engine.began == 1, "nothing else was begun on a dead engine"


@pytest.mark.slow
def test_a_vision_encoder_that_fails_ends_running_answers_too(bundles: Bundles) -> None:
    class Blind(SlowEngine):
        def encode_images(self, pixels: Floats) -> Floats:
            raise RuntimeError("injected: no vision")

    engine = Blind(bundles("v2"), slots=2, seconds=0.05)
    with LiveServer.on_engine(bundles("v2"), engine) as server:
        body = {"messages": [{"role": "user", "content": "tell me about the gauge " * 8}], "stream": True}
        with (
            httpx.Client(timeout=30) as client,
            client.stream("POST", f"{server.url}/v1/chat/completions", json=body) as running,
        ):
            events = sse(running)
            next(events)
            reply = server.client.post("/v1/chat/completions", json={"messages": question(1)})
            check_error(reply, 503, "engine_unavailable")
            *_, last = events
        assert isinstance(last, dict) and last["error"]["code"] == "engine_unavailable"
