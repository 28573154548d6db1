"""Several answers, probabilities and given forms over a real socket, with the openai client as the judge."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import httpx
import openai
import pytest
from edgevlm_server.text.tokenizer import Tokenizer
from openai import OpenAI
from openai.types.chat import ChatCompletion, ChatCompletionChunk, ChatCompletionMessageParam
from openai.types.chat.chat_completion_token_logprob import ChatCompletionTokenLogprob
from pydantic import BaseModel

from tests.conftest import GOLDEN
from tests.live import LiveServer, sse
from tests.server.engines import BabblingEngine, until
from tests.server.http.test_openai_client import strictly

TOKENIZER = Tokenizer(GOLDEN / "v2" / "checkpoint" / "tokenizer.model")
QUESTION: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Which part?"}]
ROWS = 4

CASES: dict[str, dict[str, Any]] = {
    "plain": {"temperature": 1.0, "seed": 1},
    "greedy": {},
    "several": {"n": 3, "temperature": 1.0, "seed": 1},
    "probabilities": {"logprobs": True, "temperature": 1.0, "seed": 2},
    "alternatives": {"logprobs": True, "top_logprobs": 5, "n": 2, "temperature": 1.0, "seed": 3},
    "stop": {"logprobs": True, "stop": ["e", "at ", "is t"], "n": 4, "temperature": 1.0, "seed": 4},
    "stop after": {"logprobs": True, "stop": "e", "temperature": 1.0, "seed": 5, "extra_body": {"min_tokens": 20}},
    "penalties": {"presence_penalty": 1.0, "frequency_penalty": 2.0, "extra_body": {"repetition_penalty": 1.5}},
    "bias": {"logit_bias": {"300": 100}, "logprobs": True, "top_logprobs": 1},
    "min_p": {"temperature": 1.0, "seed": 6, "extra_body": {"min_p": 0.2, "top_k": 50}},
    "ignore_eos": {"extra_body": {"ignore_eos": True}, "logprobs": True},
    "object": {"response_format": {"type": "json_object"}, "n": 2, "temperature": 1.0, "seed": 7, "logprobs": True},
    "choice": {"extra_body": {"guided_choice": ["yes", "größer"]}, "logprobs": True, "top_logprobs": 2},
    "bytes": {"extra_body": {"structured_outputs": {"regex": "[漢字]{3}"}}, "logprobs": True, "top_logprobs": 2},
}


@pytest.fixture(scope="module")
def server(bundles: Callable[[str], Path]) -> Iterator[LiveServer]:
    with LiveServer.on_engine(bundles("v2"), BabblingEngine(bundles("v2"), ROWS, seconds=0.001)) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: LiveServer) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as made:
        yield made


class Gathered:
    """One choice put together again from the pieces of a stream."""

    def __init__(self) -> None:
        self.text = ""
        self.tokens: list[ChatCompletionTokenLogprob] = []
        self.reasons: list[str] = []
        self.roles: list[str] = []


def gathered(chunks: list[ChatCompletionChunk]) -> dict[int, Gathered]:
    found: dict[int, Gathered] = {}
    for chunk in chunks:
        for choice in chunk.choices:
            one = found.setdefault(choice.index, Gathered())
            one.text += choice.delta.content or ""
            one.roles += [choice.delta.role] if choice.delta.role else []
            one.reasons += [choice.finish_reason] if choice.finish_reason else []
            if choice.logprobs is not None:
                tokens = choice.logprobs.content or []
                assert "".join(token.token for token in tokens) == (choice.delta.content or "")
                one.tokens += tokens
    return found


@pytest.mark.parametrize("name", CASES)
def test_a_stream_adds_up_to_the_answer(client: OpenAI, name: str) -> None:
    fields = {"model": "v2", "messages": QUESTION, "max_tokens": 40, **CASES[name]}
    whole: ChatCompletion = client.chat.completions.create(**fields)
    strictly(whole)
    chunks = list(client.chat.completions.create(**fields, stream=True, stream_options={"include_usage": True}))
    for chunk in chunks:
        strictly(chunk)
    used, of_stream = whole.usage, chunks[-1].usage
    assert used is not None
    assert of_stream is not None
    assert (of_stream.prompt_tokens, of_stream.completion_tokens) == (used.prompt_tokens, used.completion_tokens)
    parts = gathered(chunks)
    assert [choice.index for choice in whole.choices] == sorted(parts) == list(range(fields.get("n", 1)))
    for choice in whole.choices:
        part = parts[choice.index]
        assert part.text == choice.message.content
        assert (part.roles, part.reasons) == (["assistant"], [choice.finish_reason])
        assert (choice.logprobs is not None) == bool(fields.get("logprobs"))
        if choice.logprobs is not None:
            assert part.tokens == choice.logprobs.content
            check_tokens(part, fields.get("top_logprobs", 0))


def check_tokens(answer: Gathered, alternatives: int) -> None:
    """Joined, the tokens are the text, and so are their bytes."""
    assert "".join(token.token for token in answer.tokens) == answer.text
    data = b"".join(bytes(token.bytes or []) for token in answer.tokens)
    assert data.decode(errors="replace") == answer.text
    for token in answer.tokens:
        assert token.logprob <= 0
        assert len(token.top_logprobs) == alternatives
        if alternatives:
            assert max(one.logprob for one in token.top_logprobs) >= token.logprob


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_an_answer_is_the_same_beside_others(client: OpenAI, server: LiveServer, name: str) -> None:
    fields = {"model": "v2", "messages": QUESTION, "max_tokens": 40, **CASES[name]}
    alone = client.chat.completions.create(**fields).choices
    others = [case for other, case in CASES.items() if other != name and case.get("n", 1) < 3]
    streams = [client.chat.completions.create(**{**fields, **case, "n": 1}, stream=True) for case in others[:3]]
    assert client.chat.completions.create(**fields).choices == alone
    for stream in streams:
        stream.close()
    until(lambda: server.service.admission.inside == 0, "the others to end")


def test_answers_to_one_question_differ_and_the_first_is_the_only_one(client: OpenAI) -> None:
    def texts(n: int) -> list[str | None]:
        choices = client.chat.completions.create(
            model="v2", messages=QUESTION, max_tokens=20, n=n, temperature=1.0, seed=1
        ).choices
        return [choice.message.content for choice in choices]

    three = texts(3)
    assert len(set(three)) == 3
    assert texts(1) == three[:1]


def test_the_prompt_counts_once(client: OpenAI) -> None:
    one, two = (
        client.chat.completions.create(model="v2", messages=QUESTION, max_tokens=7, n=n, seed=1).usage for n in (1, 2)
    )
    assert one is not None
    assert two is not None
    assert (two.prompt_tokens, two.completion_tokens) == (one.prompt_tokens, 14)


def test_usage_in_every_event(client: OpenAI) -> None:
    options: Any = {"include_usage": True, "continuous_usage_stats": True}
    chunks = list(
        client.chat.completions.create(
            model="v2", messages=QUESTION, max_tokens=12, stream=True, stream_options=options
        )
    )
    counts = [chunk.usage.completion_tokens for chunk in chunks if chunk.usage]
    assert len(counts) == len(chunks)
    assert counts == sorted(counts)
    assert counts[-1] == 12


def test_min_tokens_and_ignore_eos_give_the_length_that_was_asked_for(client: OpenAI) -> None:
    fields: dict[str, Any] = {"logit_bias": {"2": 100}, "max_tokens": 9, "model": "v2", "messages": QUESTION}
    lengths = []
    for extra in ({}, {"min_tokens": 4}, {"min_tokens": 9}, {"ignore_eos": True}):
        reply = client.chat.completions.create(**fields, extra_body=extra)
        assert reply.usage is not None
        lengths.append((reply.usage.completion_tokens, reply.choices[0].finish_reason))
    assert lengths == [(1, "stop"), (5, "stop"), (9, "length"), (9, "length")]


def test_the_clients_own_way_to_ask_for_a_form(client: OpenAI) -> None:
    class Part(BaseModel):
        kind: Literal["bolt", "nut"]
        count: Literal[1, 2, 3]
        scratched: bool | None

    reply = client.chat.completions.parse(model="v2", messages=QUESTION, response_format=Part)
    assert isinstance(reply.choices[0].message.parsed, Part)


def test_a_form_that_does_not_fit_into_the_length_is_cut_and_says_so(client: OpenAI) -> None:
    with pytest.raises(openai.LengthFinishReasonError):
        client.chat.completions.parse(
            model="v2",
            messages=QUESTION,
            response_format=type("Long", (BaseModel,), {"__annotations__": {"text": str}}),
            max_tokens=5,
        )


def test_an_answer_can_be_sent_back(client: OpenAI) -> None:
    message = client.chat.completions.create(model="v2", messages=QUESTION, max_tokens=5).choices[0].message
    again = [*QUESTION, message, {"role": "user", "content": "Sure?"}]
    assert client.chat.completions.create(model="v2", messages=again, max_tokens=5).choices  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"guided_choice": ["a"], "guided_regex": "b"}, "guided_choice", "invalid_value"),
        ({"guided_choice": ["a"], "ignore_eos": True}, "ignore_eos", "invalid_value"),
        ({"guided_choice": []}, "guided_choice", "invalid_value"),
        ({"guided_choice": [" a"]}, "guided_choice", "invalid_value"),
        ({"guided_regex": "(a"}, "guided_regex", "unsupported_schema"),
        ({"guided_json": {"type": "object", "uniqueItems": True}}, "guided_json", "unsupported_schema"),
        ({"guided_json": "text"}, "guided_json", "invalid_value"),
        ({"structured_outputs": {"grammar": "root ::= a"}}, "structured_outputs.grammar", "unsupported_parameter"),
        ({"structured_outputs": {"json": {"type": "x"}}}, "structured_outputs.json", "unsupported_schema"),
        ({"response_format": {"type": "grammar"}}, "response_format", "invalid_value"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema", "invalid_value"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"not": {}}}}},
            "response_format.json_schema.schema",
            "unsupported_schema",
        ),
    ],
)
def test_forms_that_cannot_be_followed_are_named(
    server: LiveServer, fields: dict[str, Any], param: str, code: str
) -> None:
    error = server.chat("hi", **fields).json()["error"]
    assert (error["param"], error["code"], error["type"]) == (param, code, "invalid_request_error")


def test_fields_that_ask_for_nothing_are_taken(server: LiveServer) -> None:
    fields: dict[str, Any] = {
        **{"tools": [], "tool_choice": "none", "functions": [], "parallel_tool_calls": True, "modalities": ["text"]},
        **{"store": False, "service_tier": "auto", "safety_identifier": "line 4", "prompt_cache_key": "k"},
        **{"response_format": {"type": "text"}, "logprobs": False, "top_k": -1, "min_p": 0, "presence_penalty": 0},
        **{"structured_outputs": {}, "logit_bias": {}, "stop": []},
    }
    plain, same = (server.chat("hi", max_tokens=9, **given).json()["choices"] for given in ({}, fields))
    assert plain == same
    everything = [*fields, "logit_bias", "guided_json", "guided_choice", "min_tokens", "ignore_eos", "n"]
    assert server.chat("hi", max_tokens=2, **dict.fromkeys(everything)).status_code == 200


@pytest.mark.slow
def test_places_are_counted_an_answer(bundles: Callable[[str], Path]) -> None:
    engine = BabblingEngine(bundles("v2"), slots=2, seconds=0.1)
    with LiveServer.on_engine(bundles("v2"), engine, max_queue=1) as server:
        url = f"{server.url}/v1/chat/completions"
        # neither may end by chance
        body = {
            "messages": QUESTION,
            "n": 2,
            "max_tokens": 300,
            "stream": True,
            "ignore_eos": True,
            "temperature": 1.0,
        }
        with httpx.Client(timeout=30) as client, client.stream("POST", url, json=body) as response:
            events = sse(response)
            next(events)
            # neither ends meanwhile, however long this takes
            engine.gate.clear()
            assert server.service.admission.inside == 2
            assert server.chat("hi", n=2).status_code == 429
            assert server.chat("hi", n=3).json()["error"]["param"] == "n"
        engine.gate.set()
        until(lambda: server.service.admission.inside == 0, "both answers to end when their client leaves")
        metrics = server.metrics()
        assert metrics["edgevlm_requests_cancelled_total"] == 2
        accepted = metrics["edgevlm_requests_accepted_total"]
        rejected = sum(
            value for name, value in metrics.items() if name.startswith("edgevlm_admission_rejections_total")
        )
        assert metrics["edgevlm_requests_received_total"] == accepted + rejected == 2 + 2 + 3


@pytest.mark.slow
def test_a_failure_ends_all_answers(bundles: Callable[[str], Path]) -> None:
    class Lost(BabblingEngine):
        def decode(self, tokens: Any, lengths: Any) -> Any:
            if self.decoded == 5:
                raise RuntimeError("injected: the device is lost")
            return super().decode(tokens, lengths)

    with LiveServer.on_engine(bundles("v2"), Lost(bundles("v2"), slots=3)) as server:
        response = server.chat("hi", n=3, temperature=1.0, max_tokens=50)
        assert response.json()["error"]["code"] == "engine_unavailable"
        until(lambda: server.service.admission.inside == 0, "the places to be given back")


def test_json_text_is_json(server: LiveServer) -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"type": "integer", "maximum": 9, "minimum": 0}},
        "required": ["a"],
    }
    reply = server.chat("hi", guided_json={**schema, "additionalProperties": False}, temperature=1.0, seed=1).json()
    assert set(json.loads(reply["choices"][0]["message"]["content"])) == {"a"}
    assert reply["choices"][0]["finish_reason"] == "stop"
