"""Limits and turns of clients, over real connections: one who sends much does not hold up the others."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from edgevlm_engines import open_bundle
from edgevlm_server.http.access.key_file import add_key
from edgevlm_server.http.access.keys import KeyRing
from edgevlm_server.model import Model
from edgevlm_server.settings import Settings
from edgevlm_server.text.tokenizer import Tokenizer

from tests.live import LiveServer
from tests.pictures import data_url, image_part, text_part, user
from tests.server.engines import SlowEngine, SlowSight, until

Bundles = Callable[[str], Path]

NAMES = ("flood", "other")


class Served:
    """A server with two clients on an engine of the test's own."""

    def __init__(self, bundle: Path, folder: Path, engine: SlowEngine, **settings: Any) -> None:
        self.keys = {name: add_key(folder / "keys", name) for name in NAMES}
        opened = open_bundle(bundle)
        model = Model(opened.manifest, Tokenizer(opened.path("tokenizer.model")), engine)
        chosen = Settings(max_batch=engine.info.slots, **settings)
        self.engine = engine
        self.server = LiveServer(lambda: model, chosen, KeyRing.load(folder / "keys"))

    def chat(self, name: str, content: object = "hello", **fields: Any) -> httpx.Response:
        body = {"messages": [{"role": "user", "content": content}], "max_tokens": 8, **fields}
        headers = {"authorization": f"Bearer {self.keys[name]}"}
        return self.server.client.post("/v1/chat/completions", json=body, headers=headers)


@pytest.mark.slow
def test_the_first_request_of_another_waits_for_one_of_the_flood_at_most(bundles: Bundles, tmp_path: Path) -> None:
    engine = SlowEngine(bundles("v2"), slots=1)
    served = Served(bundles("v2"), tmp_path, engine, max_queue=16)
    with served.server, ThreadPoolExecutor(11) as threads:
        admission = served.server.service.admission
        engine.gate.clear()
        flood = [threads.submit(served.chat, "flood") for _ in range(10)]
        until(lambda: admission.inside == 10, "the flood")
        other = threads.submit(served.chat, "other")
        accepted = "edgevlm_requests_accepted_total"
        until(lambda: served.server.metrics()[accepted] == 11, "the other's request to be queued")
        engine.gate.set()
        assert [answer.result().status_code for answer in (*flood, other)] == [200] * 11
        assert before_the_other(served.server, 11) <= 2, "one of the flood ran already, one more had its turn"


@pytest.mark.slow
def test_pictures_are_decoded_and_encoded_in_turn(bundles: Bundles, tmp_path: Path) -> None:
    served = Served(bundles("v2"), tmp_path, SlowSight(bundles("v2"), slots=8), max_queue=16)
    pictures = [data_url(size=(8, 8 + number)) for number in range(9)]

    def ask(name: str, picture: str) -> int:
        return served.chat(name, [image_part(picture), text_part()], max_tokens=1).status_code

    with served.server, ThreadPoolExecutor(9) as threads:
        served.engine.gate.clear()
        flood = [threads.submit(ask, "flood", picture) for picture in pictures[:8]]
        until(lambda: served.server.service.admission.inside == 8, "the flood")
        other = threads.submit(ask, "other", pictures[8])
        encoder = served.server.service.loaded().pictures._encoding
        until(lambda: len(encoder._waiting) == 8, "all but the first to wait for the encoder")
        served.engine.gate.set()
        assert [one.result() for one in (*flood, other)] == [200] * 9
        assert before_the_other(served.server, 9) <= 2, "one was under way, one more of the flood had its turn"


def before_the_other(server: LiveServer, requests: int) -> int:
    """How many of the `requests` were through before the other client's one."""
    until(lambda: len(server.service.recent.last) == requests, "all records")
    return [record.client for record in reversed(server.service.recent.last)].index("other")


@pytest.mark.slow
def test_a_full_queue_has_a_place_for_a_client_who_has_none(bundles: Bundles, tmp_path: Path) -> None:
    served = Served(bundles("v2"), tmp_path, SlowEngine(bundles("v2"), slots=1, seconds=0), max_queue=8)
    with served.server, ThreadPoolExecutor(9) as threads:
        served.engine.gate.clear()
        inside = [threads.submit(served.chat, "flood") for _ in range(8)]
        until(lambda: served.server.service.admission.inside == 8, "the flood")
        refused = served.chat("flood")
        assert refused.status_code == 429 and refused.json()["error"]["code"] == "queue_full"
        inside.append(threads.submit(served.chat, "other"))
        until(lambda: served.server.service.admission.inside == 9, "the other")
        served.engine.gate.set()
        assert [answer.result().status_code for answer in inside] == [200] * 9


@pytest.mark.slow
def test_requests_at_once(bundles: Bundles, tmp_path: Path) -> None:
    engine = SlowEngine(bundles("v2"), slots=4, seconds=0)
    served = Served(bundles("v2"), tmp_path, engine, limit_requests_at_once=2)
    with served.server, ThreadPoolExecutor(3) as threads:
        engine.gate.clear()
        inside = [threads.submit(served.chat, "flood") for _ in range(2)]
        until(lambda: served.server.service.admission.inside == 2, "two requests")
        refused = served.chat("flood")
        assert refused.status_code == 429 and refused.json()["error"]["code"] == "rate_limit_exceeded"
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        inside.append(threads.submit(served.chat, "other"))
        until(lambda: served.server.service.admission.inside == 3, "the other's request")
        engine.gate.set()
        assert [answer.result().status_code for answer in inside] == [200] * 3
        metrics = served.server.metrics()
    assert metrics['edgevlm_admission_rejections_total{reason="rate_limited"}'] == 1
    rejected = sum(n for name, n in metrics.items() if name.startswith("edgevlm_admission_rejections_total"))
    assert metrics["edgevlm_requests_received_total"] == metrics["edgevlm_requests_accepted_total"] + rejected


@pytest.mark.slow
def test_requests_a_minute_on_every_route_that_takes_a_body(bundles: Bundles, tmp_path: Path) -> None:
    engine = SlowEngine(bundles("v2"), slots=1, seconds=0)
    served = Served(bundles("v2"), tmp_path, engine, limit_requests_per_minute=2)
    with served.server:
        first = served.chat("flood")
        assert first.headers["x-ratelimit-limit-requests"] == "2"
        assert first.headers["x-ratelimit-remaining-requests"] == "1"
        headers = {"authorization": f"Bearer {served.keys['flood']}"}
        tokenized = served.server.client.post("/tokenize", json={"prompt": "a"}, headers=headers)
        assert tokenized.status_code == 200
        refused = served.chat("flood")
        assert refused.status_code == 429 and refused.json()["error"]["code"] == "rate_limit_exceeded"
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        # before the body: it is not even JSON
        early = served.server.client.post(
            "/v1/completions", content=b"x", headers={**headers, "content-type": "application/json"}
        )
        assert early.status_code == 429
        assert served.server.client.get("/v1/models", headers=headers).status_code == 200
        assert served.chat("other").status_code == 200


@pytest.mark.slow
@pytest.mark.parametrize("stream", [False, True])
def test_tokens_a_minute_are_those_of_prompt_and_answer(bundles: Bundles, tmp_path: Path, stream: bool) -> None:
    engine = SlowEngine(bundles("v2"), slots=1, seconds=0)
    served = Served(bundles("v2"), tmp_path, engine, limit_tokens_per_minute=10_000)
    with served.server:
        whole = served.chat("flood")
        usage = whole.json()["usage"]
        assert whole.headers["x-ratelimit-remaining-tokens"] == str(10_000 - usage["total_tokens"])
        served.chat("flood", stream=stream)
        left = served.chat("flood").headers["x-ratelimit-remaining-tokens"]
        assert left == str(10_000 - 3 * usage["total_tokens"])
        served.server.service.admission.limits.charge("flood", 10_000)
        assert served.chat("flood").json()["error"]["code"] == "rate_limit_exceeded"
        assert served.chat("other").status_code == 200


@pytest.mark.slow
def test_decisions_are_charged_too(bundles: Bundles, tmp_path: Path) -> None:
    engine = SlowEngine(bundles("v2"), slots=2, seconds=0)
    served = Served(bundles("v2"), tmp_path, engine, limit_tokens_per_minute=10_000)
    body = {
        "input": "hello",
        "questions": [{"type": "predicate", "instructions": "Is it?"}],
    }
    with served.server:
        headers = {"authorization": f"Bearer {served.keys['flood']}"}
        answer = served.server.client.post("/v1/decisions", json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        used = 10_000 - int(answer.headers["x-ratelimit-remaining-tokens"])
        assert used == answer.json()["usage"]["total_tokens"]


@pytest.mark.slow
def test_decisions_that_break_off_are_charged_too(bundles: Bundles, tmp_path: Path) -> None:
    engine = SlowEngine(bundles("v2"), slots=1, seconds=0.05)
    settings = {"limit_tokens_per_minute": 10_000, "request_timeout": 3.0}
    served = Served(bundles("v2"), tmp_path, engine, **settings)
    questions = [{"type": "predicate", "instructions": "Is it?"}] * 20
    with served.server:
        headers = {"authorization": f"Bearer {served.keys['flood']}"}
        body = {"input": "hello", "questions": questions}
        recent, limits = served.server.service.recent, served.server.service.admission.limits
        before = 0

        def used() -> int:
            return 10_000 - int(limits.headers("flood")["x-ratelimit-remaining-tokens"])

        def broke_off() -> bool:
            """Within its scoring, and not before."""
            nonlocal before
            seen, before = len(recent.last), used()
            assert served.server.client.post("/v1/decisions", json=body, headers=headers).status_code == 504
            until(lambda: len(recent.last) > seen, "the record, closed behind the answer's last byte")
            return recent.last[0].passed[-1].stage == "score"

        until(broke_off, "its time to be up while it is scored")
        record, after = recent.last[0], used()
    assert record.prompt
    # the engine may be a step ahead of the record
    assert record.prompt <= after - before <= 2 * record.prompt


@pytest.mark.slow
def test_without_keys_clients_are_addresses(bundles: Bundles) -> None:
    with LiveServer.on_bundle(bundles("v2"), engine="echo", limit_requests_per_minute=1) as server:
        assert server.chat("hi", max_tokens=1).status_code == 200
        assert server.chat("hi", max_tokens=1).status_code == 429
        transport = httpx.HTTPTransport(local_address="127.0.0.2")
        with httpx.Client(base_url=server.url, transport=transport, timeout=60) as other:
            body = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 1}
            assert other.post("/v1/chat/completions", json=body).status_code == 200


@pytest.mark.slow
def test_pictures_kept_of_one_client(bundles: Bundles, tmp_path: Path) -> None:
    engine = SlowSight(bundles("v2"), slots=1)
    served = Served(bundles("v2"), tmp_path, engine, limit_pictures_kept=1)

    def ask(name: str, height: int) -> int:
        """How many pictures had to be encoded for this one."""
        before = engine.encoded
        body = user(image_part(data_url(size=(8, height))), text_part())[0]["content"]
        assert served.chat(name, body, max_tokens=1).status_code == 200
        return engine.encoded - before

    with served.server:
        assert [ask("other", 8), ask("flood", 9), ask("flood", 10)] == [1, 1, 1]
        # the flood's second picture pushed out its own first one, and not the other's
        assert [ask("other", 8), ask("flood", 10), ask("flood", 9)] == [0, 0, 1]
