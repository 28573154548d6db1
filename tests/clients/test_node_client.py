"""The openai package for Node as the judge: streams add up to the whole answer, errors are of the right class."""

import json
import shutil
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Timer
from typing import Any

import pytest
from edgevlm_server.http.access.key_file import add_key
from edgevlm_server.http.access.keys import KeyRing
from edgevlm_server.model import load_model
from edgevlm_server.settings import Settings

from tests.clients.conftest import ROOT
from tests.live import LiveServer
from tests.pictures import image_part, text_part, user
from tests.server.engines import FailingEngine, SlowEngine, until

Bundles = Callable[[str], Path]
BODY = {"model": "edgevlm-demo", "messages": user(image_part(), text_part("Describe the image."))}
WAYS = ("whole", "streamed", "assembled")


@pytest.fixture
def judge(beside_packages: Path) -> Callable[..., dict[str, Any]]:
    """What a program on the openai package sees, asked in each of its three ways."""
    script = shutil.copy(ROOT / "tests/node/judge.mjs", beside_packages)

    def ask(
        server: LiveServer,
        body: dict[str, Any],
        *,
        key: str = "none",
        retries: int = 0,
        ways: tuple[str, ...] = WAYS,
    ) -> dict[str, Any]:
        wanted = json.dumps({"body": body, "retries": retries, "ways": ways})
        result = subprocess.run(
            ["node", script, server.url, key, wanted], capture_output=True, text=True, timeout=120
        )
        assert result.returncode == 0, result.stderr
        outcome: dict[str, Any] = json.loads(result.stdout)
        return outcome

    return ask


Judge = Callable[..., dict[str, Any]]


def test_chunks_add_up_to_the_whole_answer(demo: LiveServer, judge: Judge) -> None:
    outcome = judge(demo, BODY)
    whole, chunks = outcome["whole"], outcome["streamed"]["chunks"]
    text = "".join(choice["delta"].get("content", "") for chunk in chunks for choice in chunk["choices"])
    assert text == whole["text"]
    assert [chunk["choices"][0]["delta"].get("role") for chunk in chunks[:2]] == ["assistant", None]
    reasons = [choice["finish_reason"] for chunk in chunks for choice in chunk["choices"]]
    assert reasons[-1] == whole["reason"] == "stop"
    assert set(reasons[:-1]) == {None}
    assert whole["request_id"]
    assembled = outcome["assembled"]
    assert (assembled["text"], assembled["reason"]) == (whole["text"], "stop")
    for usage in (chunks[-1]["usage"], assembled["usage"]):
        assert usage["completion_tokens"] == whole["usage"]["completion_tokens"]
        assert usage["prompt_tokens"] == whole["usage"]["prompt_tokens"]
        assert usage["prompt_tokens_details"]["cached_tokens"] >= 144, "the second time it comes from the cache"


def test_an_answer_of_a_limited_length(demo: LiveServer, judge: Judge) -> None:
    outcome = judge(demo, {**BODY, "max_completion_tokens": 2})
    assert outcome["whole"]["reason"] == "length"
    assert outcome["assembled"]["reason"] == "length"
    assert outcome["assembled"]["text"] == outcome["whole"]["text"] != ""


@pytest.mark.parametrize(
    ("change", "kind", "status", "code", "param"),
    [
        ({"messages": []}, "BadRequestError", 400, "invalid_value", "messages"),
        ({"audio": {"voice": "alloy"}}, "BadRequestError", 400, "unsupported_parameter", "audio"),
        ({"messages": user(image_part("aGVsbG8="))}, "BadRequestError", 400, "image_unsupported", None),
        ({"model": "gpt-5"}, "NotFoundError", 404, "model_not_found", "model"),
    ],
)
def test_what_is_wrong_with_a_request(
    demo: LiveServer, judge: Judge, change: dict[str, Any], kind: str, status: int, code: str, param: str | None
) -> None:
    outcome = judge(demo, {**BODY, **change})
    for way in WAYS:
        error = outcome[way]["error"]
        assert (error["name"], error["status"], error["code"]) == (kind, status, code), way
        assert error["type"] == "invalid_request_error"
        assert param is None or error["param"] == param
        assert error["requestID"], way


def test_a_wrong_key(bundles: Bundles, tmp_path: Path, judge: Judge) -> None:
    key = add_key(tmp_path / "keys", "line-4")
    settings = Settings(engine="echo")
    with LiveServer(lambda: load_model(bundles("v2"), settings), settings, KeyRing.load(tmp_path / "keys")) as server:
        refused = judge(server, {**BODY, "model": "v2"}, key="wrong")
        assert [refused[way]["error"]["name"] for way in WAYS] == ["AuthenticationError"] * 3
        assert judge(server, {**BODY, "model": "v2"}, key=key)["whole"]["text"]


def test_a_full_queue_is_a_rate_limit_and_passes_when_retried(bundles: Bundles, judge: Judge) -> None:
    engine = SlowEngine(bundles("v2"), slots=1, seconds=0)
    engine.gate.clear()
    body = {**BODY, "model": "v2"}
    with LiveServer.on_engine(bundles("v2"), engine, max_queue=0) as server, ThreadPoolExecutor(1) as pool:
        first = pool.submit(server.chat, "hold the only place")
        until(lambda: server.service.admission.inside == 1, "the place to be taken")
        hasty = judge(server, body)
        for way in WAYS:
            error = hasty[way]["error"]
            assert (error["name"], error["status"], error["code"]) == ("RateLimitError", 429, "queue_full")
        Timer(0.5, engine.gate.set).start()
        assert judge(server, body, retries=10, ways=("whole",))["whole"]["text"]
        assert first.result().status_code == 200


@pytest.mark.parametrize("way", ["streamed", "assembled"])
def test_a_stream_that_breaks_raises(bundles: Bundles, judge: Judge, way: str) -> None:
    engine = FailingEngine(bundles("v2"), slots=1, fail_at=3)
    with LiveServer.on_engine(bundles("v2"), engine) as server:
        error = judge(server, {**BODY, "model": "v2"}, ways=(way,))[way]["error"]
    assert "APIError" in error["kinds"]
    assert "engine is not running" in error["message"]


def test_a_dead_engine_is_an_internal_server_error(bundles: Bundles, judge: Judge) -> None:
    engine = FailingEngine(bundles("v2"), slots=1, fail_at=3)
    with LiveServer.on_engine(bundles("v2"), engine) as server:
        outcome = judge(server, {**BODY, "model": "v2"})
        for way in WAYS:
            error = outcome[way]["error"]
            assert (error["name"], error["status"], error["code"]) == (
                "InternalServerError",
                503,
                "engine_unavailable",
            )
