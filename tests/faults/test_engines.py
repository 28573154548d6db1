"""Engines that fail in one call, run out of memory, or become slow: who is told, and who must not notice."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from edgevlm_engines import Floats, Tokens

from tests.live import LiveServer
from tests.pictures import data_url, image_part, text_part, user
from tests.server.engines import PoisonedEngine, SlowEngine, until
from tests.server.http.refusing import check_error
from tests.server.http.test_batching import balanced

Bundles = Callable[[str], Path]

RED, BROKEN = data_url(), data_url()[:-40] + "AAAA"


class Exhausted(SlowEngine):
    """Has no memory left at its call number `fail_at`, whatever is called."""

    def __init__(self, bundle: Path, slots: int, fail_at: int) -> None:
        super().__init__(bundle, slots, seconds=0)
        self.calls, self.fail_at = 0, fail_at

    def _call(self) -> None:
        self.calls += 1
        if self.calls == self.fail_at:
            raise MemoryError("injected: nothing left")

    def encode_images(self, pixels: Floats) -> Floats:
        self._call()
        return super().encode_images(pixels)

    def prefill(self, slot: int, start: int, tokens: Tokens, features: Floats) -> Floats:
        self._call()
        return super().prefill(slot, start, tokens, features)

    def decode(self, tokens: Tokens, lengths: Tokens) -> Floats:
        self._call()
        return super().decode(tokens, lengths)


def question(index: int, url: str = RED) -> dict[str, Any]:
    return {"messages": user(image_part(url), text_part(f"canary {index} " * (1 + index))), "max_tokens": 40}


def ask(server: LiveServer, body: dict[str, Any]) -> httpx.Response:
    return server.client.post("/v1/chat/completions", json=body)


def text_of(response: httpx.Response) -> str:
    text: str = response.json()["choices"][0]["message"]["content"]
    return text


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["a damaged picture", "broken numbers"])
def test_one_of_eight_fails_and_seven_are_answered_as_alone(bundles: Bundles, stage: str) -> None:
    bodies = [question(index) for index in range(8)]
    with LiveServer.on_engine(bundles("v2"), SlowEngine(bundles("v2"), slots=1, seconds=0)) as server:
        alone = [text_of(ask(server, body)) for body in bodies]
        tokenizer = server.service.loaded().model.tokenizer
    if stage == "a damaged picture":
        bodies[3], status, poison = question(3, BROKEN), 400, -1
    else:
        bodies[3], status = {"messages": user(text_part("Zebra"))}, 500
        poison = tokenizer.encode("Z", space_prefix=False)[0]
    engine = PoisonedEngine(bundles("v2"), slots=8, poison=poison)
    with LiveServer.on_engine(bundles("v2"), engine) as server, ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda body: ask(server, body), bodies))
        assert replies.pop(3).status_code == status
        assert [text_of(reply) for reply in replies] == alone[:3] + alone[4:]
        balanced(server)
        assert text_of(ask(server, question(3))) == alone[3]


@pytest.mark.slow
def test_memory_that_runs_out_at_any_call_loses_nobody(bundles: Bundles) -> None:
    """As with every failure of an engine, all that run are told so, and the process is to be started again."""
    for call in (1, 2, 3, 4, 5, 8, 13, 20):
        engine = Exhausted(bundles("v2"), slots=2, fail_at=call)
        with LiveServer.on_engine(bundles("v2"), engine, max_queue=8) as server, ThreadPoolExecutor(4) as pool:
            for reply in pool.map(lambda index: ask(server, question(index)), range(4)):
                if reply.status_code != 200:
                    check_error(reply, 503, "engine_unavailable")
            until(lambda: server.service.state == "dead", "the server to know")
            balanced(server)


@pytest.mark.slow
def test_a_slow_engine_is_not_taken_for_a_stuck_one(bundles: Bundles) -> None:
    """A box throttles: each step takes ten times as long, and the whole answer longer than `engine_timeout`."""
    engine = SlowEngine(bundles("v2"), slots=1, seconds=0.005)
    with LiveServer.on_engine(bundles("v2"), engine, max_queue=0, engine_timeout=10) as server:
        for _ in range(8):
            assert server.chat(max_tokens=15).status_code == 200
        before = server.service.admission._seconds
        engine.seconds = 0.5
        assert server.chat(max_tokens=25).status_code == 200
        assert server.service.state == "ready"
        assert server.service.admission._seconds > before, "others are to be told to wait longer"
