"""The HTTP server on a Jetson's bundle: all of the product but the GPU, on stand-ins."""

import base64
import io
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.live import LiveServer, sse
from tests.tensorrt.jetsons import JETSONS
from tests.tensorrt.standin import Machine, installed
from tests.tensorrt.standin.plans import write_plans

SLOTS = 3


@pytest.fixture(params=JETSONS)
def server(
    request: pytest.FixtureRequest, device_bundles: Callable[[str, str], Path]
) -> Iterator[tuple[LiveServer, Machine]]:
    with installed(JETSONS[request.param]) as machine:
        folder = device_bundles("v2", request.param)
        write_plans(folder, SLOTS, 1000)
        with LiveServer.on_bundle(folder, max_batch=SLOTS, max_length=1000) as live:
            yield live, machine
        machine.check_released()


def question(text: str, seed: int) -> dict[str, Any]:
    pixels = np.random.default_rng(seed).integers(0, 256, (60, 80, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    url = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
    content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": text}]
    return {"messages": [{"role": "user", "content": content}], "max_tokens": 12}


def answer(server: LiveServer, body: dict[str, Any]) -> dict[str, Any]:
    response = server.client.post("/v1/chat/completions", json=body)
    assert response.status_code == 200, response.text
    reply: dict[str, Any] = response.json()
    return reply


@pytest.mark.slow
def test_pictures_are_asked_about_alone_and_at_the_same_time(server: tuple[LiveServer, Machine]) -> None:
    live, machine = server
    bodies = [question(f"What is in picture {seed}?", seed) for seed in range(6)]
    alone = [answer(live, body) for body in bodies]
    assert len({reply["choices"][0]["message"]["content"] for reply in alone}) > 1
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(lambda body: answer(live, body), bodies))
    for one, other in zip(alone, together, strict=True):
        assert one["choices"] == other["choices"]
        assert one["usage"]["prompt_tokens"] == other["usage"]["prompt_tokens"]
    # asked before: the prompt's whole chunks were copied back
    assert all(reply["usage"]["prompt_tokens_details"]["cached_tokens"] >= 128 for reply in together)
    assert machine.named("cudaGraphLaunch")
    assert live.service.loaded().model.engine.info.name == "trt"


@pytest.mark.slow
def test_a_stream_says_what_an_answer_in_one_piece_says(server: tuple[LiveServer, Machine]) -> None:
    live, _ = server
    body = question("What does the display read?", 9)
    whole = answer(live, body)["choices"][0]["message"]["content"]
    with live.client.stream("POST", "/v1/chat/completions", json={**body, "stream": True}) as response:
        events = [event for event in sse(response) if isinstance(event, dict)]
    assert "".join(event["choices"][0]["delta"].get("content", "") for event in events) == whole


def test_an_engine_that_fails_is_dead_for_everyone(server: tuple[LiveServer, Machine]) -> None:
    live, machine = server
    machine.fail["cudaStreamSynchronize"] = "cudaErrorIllegalAddress"
    assert live.chat("Which lamp is on?").status_code == 503
    machine.fail.clear()
    assert live.chat("And now?").status_code == 503
    for stream in machine.streams.values():
        stream.pending.clear()
