"""Decisions: the probabilities are the model's own, whatever else runs, and in the shape of OpenAI's client."""

import math
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgevlm_engines import Floats, Tokens
from edgevlm_server.api.decisions import Choice, Predicate, Score, answer, to_score
from edgevlm_server.runtime.scoring import Likelihood
from openai import OpenAI

from tests.live import LiveServer
from tests.manifests import change_part
from tests.pictures import data_url
from tests.server.engines import FailingEngine, SlowEngine, until
from tests.server.http.leaving import leave_once_accepted
from tests.server.http.refusing import check_error
from tests.server.http.test_openai_client import strictly

Bundles = Callable[[str], Path]

YES_NO = {"type": "predicate", "instructions": "Is a bolt missing?"}
PICTURE = {"type": "input_image", "image_url": data_url()}


def post(server: LiveServer, *questions: dict[str, Any], given: Any = "A flange.") -> dict[str, Any]:
    response = server.client.post("/v1/decisions", json={"input": given, "questions": questions})
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


def pick(*values: str | bool | int) -> dict[str, Any]:
    return {"type": "choice", "instructions": "Which?", "choices": [{"value": value} for value in values]}


def balanced(server: LiveServer) -> None:
    until(lambda: server.service.admission.inside == 0, "the places to be given back")
    metrics = server.metrics()
    ended = sum(metrics[f"edgevlm_requests_{how}_total"] for how in ("completed", "failed", "cancelled"))
    rejected = sum(value for name, value in metrics.items() if name.startswith("edgevlm_admission_rejections_total"))
    assert metrics["edgevlm_requests_accepted_total"] == ended
    assert metrics["edgevlm_requests_received_total"] == ended + rejected


class Opinionated(SlowEngine):
    """Says token `t` with a weight of `t % 7`, and depends on the token before: a language of known probabilities."""

    def __init__(self, bundle: Path, slots: int) -> None:
        super().__init__(bundle, slots, seconds=0)

    def prefill(self, slot: int, start: int, tokens: Tokens, features: Floats) -> Floats:
        super().prefill(slot, start, tokens, features)
        return self.opinion(int(tokens[-1]))

    def decode(self, tokens: Tokens, lengths: Tokens) -> Floats:
        super().decode(tokens, lengths)
        return np.stack([self.opinion(int(token)) for token in tokens])

    def opinion(self, before: int) -> Floats:
        return ((np.arange(self.info.vocab_size) * (before + 3)) % 7).astype(np.float32)

    def logprob(self, before: int, answer: list[int], temperature: float = 1) -> float:
        total = 0.0
        for token in answer:
            logits = self.opinion(before).astype(np.float64) / temperature
            total += logits[token] - math.log(np.exp(logits).sum())
            before = token
        return total


@pytest.mark.slow
@pytest.mark.parametrize("slots", [1, 2, 4])
def test_probabilities_are_those_of_whole_answers(bundles: Bundles, slots: int) -> None:
    engine = Opinionated(bundles("v2"), slots)
    values = ("red", "red and green", "834.2", "日本")
    with LiveServer.on_engine(bundles("v2"), engine) as server:
        [found] = post(server, pick(*values))["answers"]
        tokenizer = server.service.loaded().model.tokenizer
        last = tokenizer.encode("x ASSISTANT:", space_prefix=True)[-1]
        logs = [engine.logprob(last, [*tokenizer.encode(value, space_prefix=True), 2]) for value in values]
        balanced(server)
    weights = [math.exp(log - max(logs)) for log in logs]
    for listed, value, weight in zip(found["probabilities"], values, weights, strict=True):
        assert listed["value"] == value
        assert listed["probability"] == pytest.approx(weight / sum(weights), rel=1e-4)
    assert found["choice"] == values[weights.index(max(weights))]
    likeliest = max(one["probability"] for one in found["probabilities"])
    assert found["confidence"] == pytest.approx(likeliest * found["diagnostics"]["label_mass"])
    assert found["diagnostics"]["label_mass"] == pytest.approx(sum(map(math.exp, logs)), rel=1e-4)


@pytest.mark.slow
def test_the_temperature_of_confidence_changes_nothing_else(bundles: Bundles, tmp_path: Path) -> None:
    values = ("red", "red and green", "834.2")
    found = {}
    for temperature in (1.0, 5.0):
        bundle = Path(shutil.copytree(bundles("v2"), tmp_path / f"{temperature}"))
        change_part(bundle, "about", confidence_temperature=temperature)
        engine = Opinionated(bundle, slots=2)
        with LiveServer.on_engine(bundle, engine) as server:
            found[temperature] = post(server, YES_NO, pick(*values))["answers"]
            tokenizer = server.service.loaded().model.tokenizer
        last = tokenizer.encode("x ASSISTANT:", space_prefix=True)[-1]
        chosen = [*tokenizer.encode(found[temperature][1]["choice"], space_prefix=True), 2]
        expected = math.exp(engine.logprob(last, chosen, temperature))
        assert found[temperature][1]["confidence"] == pytest.approx(expected, rel=1e-3)
    for sharp, soft in zip(*found.values(), strict=True):
        assert sharp.pop("confidence") != soft.pop("confidence")
        assert sharp == soft


@pytest.mark.slow
def test_what_runs_beside_it_changes_nothing(bundles: Bundles) -> None:
    with LiveServer.on_bundle(bundles("v2"), max_length=400, max_batch=3) as server:
        given = [{"role": "user", "content": [PICTURE]}]
        alone = post(server, YES_NO, pick("red", "green", "dark blue"), given=given)
        with ThreadPoolExecutor(4) as pool:
            others = [pool.submit(server.chat, f"question {number}", max_tokens=30) for number in range(6)]
            beside = post(server, YES_NO, pick("red", "green", "dark blue"), given=given)
            assert all(other.result().status_code == 200 for other in others)
        assert beside["answers"] == alone["answers"]
        assert beside["usage"]["input_tokens_details"]["cached_tokens"] > 0
        balanced(server)


@pytest.mark.slow
def test_the_openai_client_reads_all_kinds(echo_server: LiveServer) -> None:
    with OpenAI(base_url=f"{echo_server.url}/v1", api_key="none", max_retries=0) as client:
        decision = client.decisions.create(
            model="v2",
            input=[{"role": "user", "content": [{"type": "input_image", "image_url": data_url()}]}],
            questions=[
                {"type": "predicate", "name": "missing", "instructions": "Is a bolt missing?"},
                {
                    "type": "choice",
                    "instructions": [{"type": "input_text", "text": "Which lamp is on?"}],
                    "choices": [{"value": "red", "description": "stop"}, {"value": True}, {"value": "True"}],
                },
                {
                    "type": "score",
                    "name": "rust",
                    "instructions": "How rusty is it?",
                    "levels": [{"label": "clean"}, {"label": "rusty"}],
                },
            ],
        )
    strictly(decision)
    missing, lamp, rust = decision.answers
    assert missing.type == "predicate" and missing.name == "missing"
    assert 0 <= missing.probability <= 1
    assert lamp.type == "choice" and lamp.name is None
    assert [one.value for one in lamp.probabilities] == ["red", True, "True"]
    assert math.isclose(sum(one.probability for one in lamp.probabilities), 1)
    assert rust.type == "score"
    assert [(one.value, one.label) for one in rust.probabilities] == [(0, "clean"), (1, "rusty")]
    assert rust.score == pytest.approx(rust.probabilities[1].probability)
    assert decision.usage.total_tokens == decision.usage.input_tokens + decision.usage.output_tokens


@pytest.mark.slow
def test_the_model_sees_the_question_behind_the_input(bundles: Bundles) -> None:
    seen: list[list[int]] = []

    class Watched(SlowEngine):
        """Notes the prompts."""

        def prefill(self, slot: int, start: int, tokens: Tokens, features: Floats) -> Floats:
            seen.append(tokens.tolist())
            return super().prefill(slot, start, tokens, features)

    engine = Watched(bundles("v2"), slots=1, seconds=0)
    with LiveServer.on_engine(bundles("v2"), engine, prefix_cache=0) as server:
        post(server, {**pick("a", "b"), "choices": [{"value": "a", "description": "first"}, {"value": "b"}]})
        tokenizer = server.service.loaded().model.tokenizer
    prompt = b"".join(tokenizer.bytes_of(token) for tokens in seen for token in tokens).decode()
    assert "USER: A flange.\nWhich?\na: first ASSISTANT:" in prompt


def likely(probability: float) -> Likelihood:
    return Likelihood(math.log(probability), probability)


def test_arithmetic() -> None:
    predicate = Predicate(type="predicate", instructions="Is it?")
    assert to_score(predicate).answers == [("yes", "Yes"), ("no", "No")]
    found = answer(predicate, [[likely(0.25), likely(0.25)], [likely(0.125), Likelihood(-math.inf, 0)]])
    assert found["probability"] == pytest.approx(0.8)
    assert found["diagnostics"]["label_mass"] == pytest.approx(0.625)
    choice = Choice.model_validate({**pick(True, False)})
    assert to_score(choice).answers == [("yes", "Yes"), ("no", "No")]
    # far below what a float can hold, and still compared
    score = Score.model_validate(
        {"type": "score", "instructions": "How?", "levels": [{"label": "a"}, {"label": "b"}, {"label": "c"}]}
    )
    found = answer(score, [[Likelihood(log, 0)] for log in (-2000.0, -2000.0, -3000.0)])
    assert found["score"] == pytest.approx(0.5)
    assert found["diagnostics"]["label_mass"] == 0


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"questions": []}, "invalid_value", "questions"),
        ({"questions": [{"type": "guess"}]}, "invalid_value", "questions.0"),
        ({"questions": [{"type": "predicate"}]}, "invalid_value", "questions.0.instructions"),
        ({"questions": [pick("a")]}, "invalid_value", "questions.0.choices"),
        ({"questions": [pick("a", 3)]}, "invalid_value", "questions.0.choices.1.value"),
        ({"questions": [pick("a", "a")]}, "invalid_value", "questions.0.choices"),
        ({"questions": [pick(True, "Yes")]}, "invalid_value", "questions.0.choices"),
        ({"questions": [pick("no", False)]}, "invalid_value", "questions.0.choices"),
        ({"questions": [pick(*map(str, range(33)))]}, "invalid_value", "questions.0.choices"),
        ({"questions": [pick(*map(str, range(32)))] * 9}, "invalid_value", "questions"),
        ({"questions": [YES_NO], "input": [{"role": "assistant", "content": "a"}]}, "invalid_value", "input"),
        ({"questions": [YES_NO], "input": "a b " * 3000}, "context_length_exceeded", "input"),
        ({"questions": [YES_NO], "stream": True}, "unsupported_parameter", "stream"),
        (
            {"questions": [YES_NO], "input": [{"role": "user", "content": [{**PICTURE, "image_url": "x"}]}]},
            "image_invalid",
            "input.0.content.0",
        ),
    ],
)
def test_what_is_wrong_is_named(echo_server: LiveServer, fields: dict[str, Any], code: str, param: str) -> None:
    response = echo_server.client.post("/v1/decisions", json={"input": "a", **fields})
    assert check_error(response, 400, code)["param"] == param
    balanced(echo_server)


def test_a_message_that_is_full_still_gets_its_question(echo_server: LiveServer) -> None:
    full = [{"role": "user", "content": [{"type": "input_text", "text": "a"}] * 64}]
    assert post(echo_server, YES_NO, given=full)["answers"]


@pytest.mark.slow
def test_a_full_queue_refuses(bundles: Bundles) -> None:
    engine = SlowEngine(bundles("v2"), slots=1)
    engine.gate.clear()
    with LiveServer.on_engine(bundles("v2"), engine, max_queue=0) as server, ThreadPoolExecutor(1) as pool:
        first = pool.submit(post, server, YES_NO)
        until(lambda: server.service.admission.inside == 1, "the place to be taken")
        response = server.client.post("/v1/decisions", json={"input": "a", "questions": [YES_NO]})
        check_error(response, 429, "queue_full")
        engine.gate.set()
        assert first.result()["answers"]
        balanced(server)


@pytest.mark.slow
def test_a_client_that_leaves_ends_the_scoring(bundles: Bundles) -> None:
    engine = SlowEngine(bundles("v2"), slots=2, seconds=0.1)
    with LiveServer.on_engine(bundles("v2"), engine) as server:
        body = {"input": "a", "questions": [pick(*(f"a long answer, number {n}" for n in range(32)))]}
        leave_once_accepted(server, "/v1/decisions", {"json": body})
        until(lambda: server.service.admission.inside == 0, "the places to be given back")
        decoded = engine.decoded
        assert server.chat("still there?", max_tokens=3).status_code == 200
        assert engine.decoded <= decoded + 6
        assert server.metrics()["edgevlm_requests_accepted_total"] < 20
        balanced(server)


@pytest.mark.slow
def test_an_engine_that_dies_is_said(bundles: Bundles) -> None:
    engine = FailingEngine(bundles("v2"), slots=2, fail_at=1)
    with LiveServer.on_engine(bundles("v2"), engine) as server:
        body = {"input": "a", "questions": [pick("one answer", "another answer")]}
        check_error(server.client.post("/v1/decisions", json=body), 503, "engine_unavailable")
        balanced(server)
