"""LiteLLM with its defaults, by its providers for OpenAI's servers and for vLLM's: answers, and classes of errors."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from edgevlm_server.http.access.key_file import add_key
from edgevlm_server.http.access.keys import KeyRing
from edgevlm_server.model import load_model
from edgevlm_server.settings import Settings

from tests.clients.conftest import ROOT, Script
from tests.live import LiveServer
from tests.server.engines import FailingEngine, SlowEngine, until

PICTURE = ROOT / "examples/display.jpg"
READS = "834.2"
PROVIDERS = ("openai", "hosted_vllm")
ANSWERED = ("whole", "tools", "hints", "hints_dropping", "effort_dropped", "response", "response_streamed")
REFUSED = ("tool_demanded", "effort", "no_picture", "too_long", "response_too_long")

Bundles = Callable[[str], Path]
Ask = Callable[..., dict[str, Any]]


@pytest.fixture
def ask(run_script: Script) -> Ask:
    """What a program on LiteLLM sees, asked in each of these ways."""

    def run(server: LiveServer, provider: str, *ways: str, model: str = "v2", key: str = "none") -> dict[str, Any]:
        return run_script("ask_litellm.py", server.url, key, f"{provider}/{model}", PICTURE, *ways)

    return run


@pytest.mark.parametrize("provider", PROVIDERS)
def test_what_it_sends_is_answered_or_refused_in_its_classes(demo: LiveServer, ask: Ask, provider: str) -> None:
    others = ("streamed", "twice", "schema")
    seen = ask(demo, provider, *ANSWERED, *REFUSED, *others, model="edgevlm-demo")
    assert {way: seen[way] for way in ANSWERED} == dict.fromkeys(ANSWERED, READS)
    assert seen["schema"] == f'{{"value": "{READS}"}}'
    assert (seen["streamed"]["text"], seen["streamed"]["reason"]) == (READS, "stop")
    assert all(isinstance(text, str) and text for text in seen["twice"])
    errors = {way: seen[way]["error"] for way in REFUSED}
    assert {error["status"] for error in errors.values()} == {400}
    for way in ("too_long", "response_too_long"):
        assert errors[way]["name"] == "ContextWindowExceededError"
    for way, cause in (("tool_demanded", "'tool_choice'"), ("effort", "'reasoning_effort'"), ("no_picture", "JPEG")):
        assert errors[way]["name"] == "BadRequestError"
        assert cause in errors[way]["message"]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_wrong_key_and_a_wrong_model(bundles: Bundles, tmp_path: Path, ask: Ask, provider: str) -> None:
    key = add_key(tmp_path / "keys", "line-4")
    settings = Settings(engine="echo")
    with LiveServer(lambda: load_model(bundles("v2"), settings), settings, KeyRing.load(tmp_path / "keys")) as server:
        for outcome in ask(server, provider, "whole", "streamed", "response", key="wrong").values():
            assert (outcome["error"]["name"], outcome["error"]["status"]) == ("AuthenticationError", 401)
        error = ask(server, provider, "whole", key=key, model="gpt-5")["whole"]["error"]
        assert (error["name"], error["status"]) == ("NotFoundError", 404)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_full_queue_is_a_rate_limit(bundles: Bundles, ask: Ask, provider: str) -> None:
    engine = SlowEngine(bundles("v2"), slots=1, seconds=0)
    engine.gate.clear()
    with LiveServer.on_engine(bundles("v2"), engine, max_queue=0) as server, ThreadPoolExecutor(1) as pool:
        first = pool.submit(server.chat, "hold the only place")
        until(lambda: server.service.admission.inside == 1, "the place to be taken")
        seen = ask(server, provider, "whole", "streamed", "response")
        engine.gate.set()
        assert first.result().status_code == 200
    for outcome in seen.values():
        assert (outcome["error"]["name"], outcome["error"]["status"]) == ("RateLimitError", 429)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_dead_engine_raises_in_the_midst_of_a_stream_and_before(bundles: Bundles, ask: Ask, provider: str) -> None:
    engine = FailingEngine(bundles("v2"), slots=1, fail_at=3)
    with LiveServer.on_engine(bundles("v2"), engine) as server:
        seen = ask(server, provider, "streamed", "whole", "response")
    assert seen["streamed"]["error"]["name"] == "MidStreamFallbackError"
    assert "engine is not running" in seen["streamed"]["error"]["message"]
    for way in ("whole", "response"):
        assert (seen[way]["error"]["name"], seen[way]["error"]["status"]) == ("ServiceUnavailableError", 503)
