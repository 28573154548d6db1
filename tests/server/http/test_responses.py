"""The responses route over a socket, with the openai client as the judge of every answer and every event."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import OpenAI
from openai.types.responses import ResponseInputParam

from tests.live import LiveServer
from tests.pictures import data_url, image_part, text_part, user
from tests.server.engines import FailingEngine
from tests.server.http.refusing import check_error
from tests.server.http.test_openai_client import strictly

QUESTION: ResponseInputParam = [
    {
        "role": "user",
        "content": [
            {"type": "input_image", "image_url": data_url(), "detail": "auto"},
            {"type": "input_text", "text": "What is it?"},
        ],
    }
]


@pytest.fixture(scope="module")
def client(echo_server: LiveServer) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{echo_server.url}/v1", api_key="none", max_retries=0) as made:
        yield made


@pytest.mark.slow
def test_an_answer_is_the_chat_routes(echo_server: LiveServer, client: OpenAI) -> None:
    response = client.responses.create(model="v2", input=QUESTION, instructions="Be brief.", metadata={"line": "4"})
    strictly(response)
    messages = [{"role": "system", "content": "Be brief."}, *user(image_part(), text_part())]
    chat = echo_server.client.post("/v1/chat/completions", json={"messages": messages}).json()
    assert response.output_text == chat["choices"][0]["message"]["content"]
    assert (response.status, response.metadata, response.instructions) == ("completed", {"line": "4"}, "Be brief.")
    assert response.usage is not None
    assert response.usage.input_tokens == chat["usage"]["prompt_tokens"]
    assert response.usage.output_tokens == chat["usage"]["completion_tokens"]


@pytest.mark.slow
def test_a_stream_is_typed_and_adds_up(client: OpenAI) -> None:
    whole = client.responses.create(model="v2", input=QUESTION)
    events = list(client.responses.create(model="v2", input=QUESTION, stream=True))
    for event in events:
        strictly(event)
    kinds = [event.type for event in events]
    begin = ["response.created", "response.in_progress", "response.output_item.added", "response.content_part.added"]
    end = [
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert kinds[:4] == begin
    assert kinds[-4:] == end
    assert set(kinds[4:-4]) == {"response.output_text.delta"}
    assert [event.sequence_number for event in events] == list(range(len(events)))
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    last = events[-1]
    assert last.type == "response.completed"
    assert text == last.response.output_text == whole.output_text
    assert last.response.usage is not None and whole.usage is not None
    assert last.response.usage.output_tokens == whole.usage.output_tokens


@pytest.mark.slow
def test_the_clients_own_accumulator_follows(client: OpenAI) -> None:
    with client.responses.stream(model="v2", input=QUESTION) as stream:
        text = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        assert stream.get_final_response().output_text == text


def test_an_answer_that_is_cut_short_is_incomplete(client: OpenAI) -> None:
    response = client.responses.create(model="v2", input="hello", max_output_tokens=2)
    strictly(response)
    assert response.status == "incomplete"
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == "max_output_tokens"
    *_, last = client.responses.create(model="v2", input="hello", max_output_tokens=2, stream=True)
    assert last.type == "response.incomplete"


def test_an_earlier_answer_can_be_sent_back(client: OpenAI) -> None:
    first = client.responses.create(model="v2", input=QUESTION)
    turns: Any = [*QUESTION, *first.output, {"role": "user", "content": "And now?"}]
    second = client.responses.create(model="v2", input=turns)
    assert second.output_text.endswith("USER: And now? ASSISTANT:")


def test_json_of_a_schema(client: OpenAI) -> None:
    schema = {
        "type": "object",
        "properties": {"lamp": {"enum": ["red", "green"]}},
        "required": ["lamp"],
        "additionalProperties": False,
    }
    response = client.responses.create(
        model="v2",
        input="Which lamp?",
        text={"format": {"type": "json_schema", "name": "lamp", "schema": schema, "strict": True}},
        max_output_tokens=40,
    )
    strictly(response)
    assert response.output_text.lstrip().startswith("{")


def test_probabilities(client: OpenAI) -> None:
    asked: Any = {"include": ["message.output_text.logprobs"], "top_logprobs": 2}
    response = client.responses.create(model="v2", input="hello", max_output_tokens=3, **asked)
    strictly(response)
    content: Any = response.output[0]
    listed = content.content[0].logprobs
    assert len(listed) == 3
    assert all(len(one.top_logprobs) == 2 for one in listed)
    assert "".join(one.token for one in listed) == response.output_text
    events = list(client.responses.create(model="v2", input="hello", max_output_tokens=3, stream=True, **asked))
    for event in events:
        strictly(event)
        if event.type == "response.output_text.delta":
            assert "".join(one.token for one in event.logprobs) == event.delta
    [done] = [event for event in events if event.type == "response.output_text.done"]
    assert "".join(one.token for one in done.logprobs) == done.text == response.output_text


def test_tokens_are_counted_as_they_are_used(client: OpenAI) -> None:
    counted = client.responses.input_tokens.count(model="v2", input=QUESTION)
    response = client.responses.create(model="v2", input=QUESTION, max_output_tokens=1)
    assert response.usage is not None
    assert counted.input_tokens == response.usage.input_tokens


def test_a_picture_by_its_name(echo_server: LiveServer) -> None:
    picture = {"type": "input_image", "image_url": data_url(), "uuid": "frame 7"}
    question = {"type": "input_text", "text": "Q"}
    answers = []
    for shown in (picture, {"type": "input_image", "uuid": "frame 7"}):
        body = {"input": [{"role": "user", "content": [shown, question]}]}
        answer = echo_server.client.post("/v1/responses", json=body).json()
        answers.append(answer["output"][0]["content"][0]["text"])
    assert answers[0] == answers[1]
    missing = {"input": [{"role": "user", "content": [{"type": "input_image", "uuid": "none"}, question]}]}
    error = check_error(echo_server.client.post("/v1/responses", json=missing), 404, "image_not_cached")
    assert error["param"] == "input.0.content.0"


@pytest.mark.slow
def test_a_stream_that_breaks_says_so(bundles: Callable[[str], Path]) -> None:
    engine = FailingEngine(bundles("v2"), slots=1, fail_at=3)
    with (
        LiveServer.on_engine(bundles("v2"), engine) as server,
        OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client,
    ):
        *_, last = client.responses.create(model="v2", input="hello", stream=True)
        assert last.type == "response.failed"
        strictly(last)
        assert last.response.error is not None
        assert "engine is not running" in last.response.error.message


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({}, "invalid_value", "input"),
        ({"input": []}, "invalid_value", "input"),
        ({"input": [{"role": "user", "content": [{"type": "input_file"}]}]}, "invalid_value", "input.0.content.0"),
        ({"input": [{"type": "function_call_output"}]}, "unsupported_parameter", "input.0"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "unsupported_parameter", "input.0"),
        ({"input": [{"type": "reasoning"}]}, "invalid_value", "input.0"),
        ({"input": 5}, "invalid_value", "input"),
        ({"input": [{"role": "user", "content": None}]}, "invalid_value", "input.0.content"),
        ({"input": [{"role": "assistant", "content": "a"}]}, "invalid_value", "input"),
        ({"input": "a", "background": 0}, "unsupported_parameter", "background"),
        ({"input": "a", "background": True}, "unsupported_parameter", "background"),
        ({"input": "a", "previous_response_id": "resp_1"}, "unsupported_parameter", "previous_response_id"),
        ({"input": "a", "conversation": "conv_1"}, "unsupported_parameter", "conversation"),
        ({"input": "a", "prompt": {"id": "pmpt_1"}}, "unsupported_parameter", "prompt"),
        ({"input": "a", "reasoning": {"effort": "high"}}, "unsupported_parameter", "reasoning.effort"),
        ({"input": "a", "tool_choice": "required"}, "unsupported_parameter", "tool_choice"),
        ({"input": "a", "tool_choice": {"type": "web_search"}}, "unsupported_parameter", "tool_choice"),
        ({"input": "a", "response_format": {"type": "json_object"}}, "unsupported_parameter", "response_format"),
        ({"input": "a", "include": ["everything"]}, "invalid_value", "include.0"),
        ({"input": "a", "n": 2}, "unsupported_parameter", "n"),
        ({"input": "a", "max_output_tokens": 0}, "invalid_value", "max_output_tokens"),
        ({"input": "a", "text": {"format": {"type": "xml"}}}, "invalid_value", "text.format"),
    ],
)
def test_what_is_wrong_is_named(echo_server: LiveServer, fields: dict[str, Any], code: str, param: str) -> None:
    response = echo_server.client.post("/v1/responses", json=fields)
    assert check_error(response, 400, code)["param"] == param


def test_another_model_is_not_found(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        client.responses.create(model="gpt-5", input="a")


def test_a_schema_that_cannot_be_written_back_is_refused(echo_server: LiveServer) -> None:
    deep: Any = []
    for _ in range(900):
        deep = [deep]
    for schema in ({"type": "object", "description": "\ud800"}, {"type": "object", "examples": deep}):
        body = {"input": "hi", "text": {"format": {"type": "json_schema", "name": "x", "schema": schema}}}
        # httpx would refuse the surrogate
        headers = {"content-type": "application/json"}
        response = echo_server.client.post("/v1/responses", content=json.dumps(body), headers=headers)
        assert check_error(response, 400, "invalid_value")["param"] == "text.format.schema"
