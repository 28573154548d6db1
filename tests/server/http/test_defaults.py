"""What clients send by default is answered: values that ask for nothing, hints, and offers that may be declined."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.live import LiveServer, sse
from tests.pictures import data_url, image_part, text_part, user
from tests.server.http.refusing import HELLO, post

CHAT = "/v1/chat/completions"
ROUTES: dict[str, dict[str, Any]] = {
    CHAT: {"messages": user(image_part(), text_part("Q"))},
    "/v1/completions": {"prompt": "hello"},
    "/v1/responses": {
        "input": [
            {
                "role": "user",
                "content": [
                    {"type": "input_image", "image_url": data_url()},
                    {"type": "input_text", "text": "Q"},
                ],
            }
        ]
    },
    "/v1/decisions": {
        "input": "The red lamp is on.",
        "questions": [
            {"type": "choice", "instructions": "Which?", "choices": [{"value": "red"}, {"value": "green"}]}
        ],
    },
}
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
FLAT_TOOL = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}}


def answered(server: LiveServer, path: str, body: dict[str, Any]) -> Any:
    """What an answer says, whatever its route's shape."""
    response = server.client.post(path, json=body)
    assert response.status_code == 200, response.text
    answer = response.json()
    return {name: answer[name] for name in ("choices", "answers", "status") if name in answer} | {
        "said": [part["text"] for item in answer.get("output", []) for part in item["content"]]
    }


def streamed(server: LiveServer, body: dict[str, Any]) -> list[dict[str, Any]]:
    """The events of a chat."""
    return [event for event in sse(server.client.post(CHAT, json=body)) if not isinstance(event, str)]


def with_nulls(value: Any) -> Any:
    """The same with null in fields that every object could have, known and unknown."""
    names = (
        *(
            "reasoning_effort",
            "audio",
            "prediction",
            "web_search_options",
            "stop_token_ids",
            "file_id",
            "annotations",
        ),
        *("text", "image_url", "uuid", "tools", "tool_choice", "max_tokens", "stream", "seed", "stop", "n", "name"),
        *("conversation", "prompt", "max_tool_calls", "reasoning", "instructions", "refusal", "nobody_knows_this"),
    )
    if isinstance(value, dict):
        return {**dict.fromkeys(names), **{name: with_nulls(one) for name, one in value.items()}}
    return [with_nulls(one) for one in value] if isinstance(value, list) else value


@pytest.mark.parametrize("path", ROUTES)
def test_null_is_absent_at_every_depth(echo_server: LiveServer, path: str) -> None:
    assert answered(echo_server, path, with_nulls(ROUTES[path])) == answered(echo_server, path, ROUTES[path])


@pytest.mark.parametrize(
    "fields",
    [
        {"stream_options": None, "response_format": None, "logit_bias": None, "structured_outputs": None},
        {"logit_bias": {"5": None}},
        {"response_format": {"type": "text", "json_schema": None}},
        {"stream_options": {"include_usage": True}},
        {"top_logprobs": 0},
        {"tools": [TOOL]},
        {"tools": [TOOL], "tool_choice": "auto", "parallel_tool_calls": True},
        {"tools": [TOOL], "tool_choice": "none"},
        {"tools": [TOOL], "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}}},
        {"tools": [], "functions": [], "tool_choice": None},
        {"functions": [{"name": "look"}], "function_call": "auto"},
        *({"reasoning_effort": effort} for effort in ("none", "minimal", "low")),
        {"modalities": ["text"], "audio": {}, "web_search_options": {}, "stop_token_ids": []},
        {"prediction": {"type": "content", "content": "as before"}, "verbosity": "low"},
        {"store": True, "metadata": {"line": 4}, "user": "a", "safety_identifier": "b"},
        {"prompt_cache_key": "a", "prompt_cache_retention": "24h", "service_tier": "flex"},
        {"chat_template_kwargs": {"enable_thinking": False}, "add_generation_prompt": True},
        {"skip_special_tokens": True, "spaces_between_special_tokens": True, "include_stop_str_in_output": False},
        {"use_beam_search": False, "length_penalty": 1.0, "best_of": 1, "echo": False, "cache_prompt": True},
    ],
)
def test_what_a_chat_may_say_in_vain(echo_server: LiveServer, fields: dict[str, Any]) -> None:
    assert answered(echo_server, CHAT, {**ROUTES[CHAT], **fields}) == answered(echo_server, CHAT, ROUTES[CHAT])


@pytest.mark.parametrize(
    "fields",
    [
        {"store": True},
        {"background": False},
        {"tools": [FLAT_TOOL], "tool_choice": "auto", "parallel_tool_calls": True},
        {"tools": [{"type": "web_search"}], "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": []}},
        {"text": {"verbosity": "low"}},
        {"text": {"format": {"type": "text"}, "verbosity": None}},
        {"reasoning": {"effort": "minimal", "summary": "auto"}},
        {"reasoning": {}},
        {"reasoning": {"mode": "standard"}, "personality": "friendly"},
        {"include": ["reasoning.encrypted_content"]},
        {"include": []},
        {"truncation": "auto", "max_tool_calls": 3, "context_management": []},
        {"repetition_penalty": 1.0, "presence_penalty": 0, "frequency_penalty": 0.0},
        {"top_logprobs": 0, "stream_options": {"include_obfuscation": False}},
    ],
)
def test_what_a_response_may_be_asked_for_in_vain(echo_server: LiveServer, fields: dict[str, Any]) -> None:
    path = "/v1/responses"
    assert answered(echo_server, path, {**ROUTES[path], **fields}) == answered(echo_server, path, ROUTES[path])


def test_a_null_of_the_metadata_is_absent_in_the_answer(echo_server: LiveServer) -> None:
    body = {"input": "a", "metadata": {"line": "4", "shift": None}}
    assert echo_server.client.post("/v1/responses", json=body).json()["metadata"] == {"line": "4"}


def test_a_response_says_that_nothing_is_stored_and_nothing_called(echo_server: LiveServer) -> None:
    body = {"input": "a", "store": True, "tools": [FLAT_TOOL], "parallel_tool_calls": True, "truncation": "auto"}
    answer = echo_server.client.post("/v1/responses", json=body).json()
    assert (answer["store"], answer["tools"], answer["tool_choice"]) == (False, [], "none")
    assert (answer["parallel_tool_calls"], answer["truncation"], answer["background"]) == (False, "disabled", False)


@pytest.mark.parametrize(
    ("path", "field"),
    [
        (CHAT, "max_tokens"),
        (CHAT, "max_completion_tokens"),
        ("/v1/completions", "max_tokens"),
        ("/v1/responses", "max_output_tokens"),
    ],
)
@pytest.mark.parametrize("limit", [2048, 3000, 10**30])
def test_a_limit_above_the_room_ends_where_the_room_does(
    echo_server: LiveServer, path: str, field: str, limit: int
) -> None:
    body = {**ROUTES[path], field: limit}
    assert answered(echo_server, path, body) == answered(echo_server, path, ROUTES[path])


def test_an_answer_that_fills_the_room_is_cut_by_its_length(echo_server: LiveServer) -> None:
    body = {**ROUTES[CHAT], "max_tokens": 3000, "ignore_eos": True}
    answer = echo_server.client.post(CHAT, json=body).json()
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"]["total_tokens"] == 2048


def test_a_prompt_may_leave_room_for_one_token(echo_server: LiveServer) -> None:
    ids = [5] * 2047
    answer = echo_server.client.post("/v1/completions", json={"prompt": ids, "max_tokens": 500}).json()
    assert (answer["choices"][0]["finish_reason"], answer["usage"]["completion_tokens"]) == ("length", 1)
    assert echo_server.client.post("/v1/completions", json={"prompt": [*ids, 5]}).status_code == 400


@pytest.mark.parametrize(
    ("first", "second"), [("system", "system"), ("developer", "system"), ("system", "developer")]
)
def test_system_messages_at_the_start_are_one(echo_server: LiveServer, first: str, second: str) -> None:
    one = [{"role": "system", "content": "Be brief.\n\nBe exact."}, *HELLO]
    two = [{"role": first, "content": "Be brief."}, {"role": second, "content": "Be exact."}, *HELLO]
    assert answered(echo_server, CHAT, {"messages": two}) == answered(echo_server, CHAT, {"messages": one})


def test_instructions_and_a_system_message_are_one(echo_server: LiveServer) -> None:
    path = "/v1/responses"
    late = {"instructions": "Be brief.", "input": [{"role": "developer", "content": "Be exact."}, *HELLO]}
    early = {"instructions": "Be brief.\n\nBe exact.", "input": HELLO}
    assert answered(echo_server, path, late) == answered(echo_server, path, early)


def test_pictures_keep_their_place_among_texts_in_both_apis(echo_server: LiveServer) -> None:
    urls = [data_url((200, 0, 0)), data_url((0, 200, 0))]
    chat, responses = (
        [
            {"role": "user", "content": [*_between(urls, *kinds), {"type": kinds[0], "text": "What has changed?"}]},
            {"role": "assistant", "content": "The lamp."},
            {"role": "user", "content": [*_between(urls[:1], *kinds), {"type": kinds[0], "text": "And here?"}]},
        ]
        for kinds in (("text", "image_url"), ("input_text", "input_image"))
    )
    said = answered(echo_server, CHAT, {"messages": chat})["choices"][0]["message"]["content"]
    assert answered(echo_server, "/v1/responses", {"input": responses})["said"] == [said]
    counted = {"messages": chat, "return_token_strs": True}
    tokens = echo_server.client.post("/tokenize", json=counted).json()["token_strs"]
    text = re.sub("(<image>)+", "<image>", "".join(tokens)).replace("\u2581", " ")
    order = re.findall("icture 1|icture 2|What|And|<image>", text)
    assert order == ["icture 1", "<image>", "icture 2", "<image>", "What", "icture 1", "<image>", "And"]


def _between(urls: list[str], text: str, image: str) -> Iterator[dict[str, Any]]:
    for number, url in enumerate(urls, 1):
        yield {"type": text, "text": f"Picture {number}:"}
        yield {"type": image, "image_url": url}


ANSWER = {"role": "assistant", "content": "yes"}


@pytest.mark.parametrize(
    "extra",
    [
        {"annotations": [], "refusal": None, "audio": None, "function_call": None, "tool_calls": []},
        {"annotations": None, "tool_calls": None, "parsed": {"lamp": "red"}},
        {"parsed": None, "reasoning_content": "It is red.", "reasoning": "", "refusal": ""},
        {"provider_specific_fields": {"refusal": None}, "thinking_blocks": [], "name": "line-4"},
        {"content": [{"type": "text", "text": "yes", "annotations": [], "cache_control": {"type": "ephemeral"}}]},
        {"content": [{"type": "refusal", "refusal": "yes"}]},
    ],
)
def test_an_answer_is_taken_back_as_client_libraries_keep_it(echo_server: LiveServer, extra: dict[str, Any]) -> None:
    def conversation(answer: dict[str, Any]) -> dict[str, Any]:
        return {"messages": [*HELLO, answer, {"role": "user", "content": "again"}]}

    plain = answered(echo_server, CHAT, conversation(ANSWER))
    assert answered(echo_server, CHAT, conversation({**ANSWER, **extra})) == plain


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "fields"),
    [
        (CHAT, '"messages": [{"role": "user", "content": "a"}], "max_tokens": 16.0, "seed": 42.0, "n": 1.0'),
        (CHAT, '"messages": [{"role": "user", "content": "a"}], "max_completion_tokens": 1E2, "top_k": 5.0'),
        (CHAT, '"messages": [{"role": "user", "content": "a"}], "logprobs": true, "top_logprobs": 2.0'),
        (CHAT, '"messages": [{"role": "user", "content": "a"}], "min_tokens": 1.0, "temperature": 1, "top_p": 1.0'),
        ("/v1/completions", '"prompt": [1.0, 72.0, 1.05e2], "logprobs": 2.0, "max_tokens": 0.4E1'),
        ("/v1/responses", '"input": "a", "max_output_tokens": 16.00, "seed": -4.2E1'),
        ("/detokenize", '"tokens": [72.0, 1e2]'),
        (
            CHAT,
            '"messages": [{"role": "user", "content": "a"}], "max_tokens": 8.0, "guided_json": '
            '{"type": "string", "maxLength": 3.0, "x-order": 1.0}',
        ),
    ],
)
def test_whole_numbers_in_any_spelling(echo_server: LiveServer, path: str, fields: str) -> None:
    headers = {"content-type": "application/json"}
    response = echo_server.client.post(path, content=f"{{{fields}}}", headers=headers)
    assert response.status_code == 200, response.text


@pytest.mark.parametrize("number", ["1.5", "1e-1", "1e300", "9007199254740994.0", '"16"', "true"])
def test_what_is_no_whole_number_is_refused(echo_server: LiveServer, number: str) -> None:
    body = json.dumps({"messages": HELLO, "max_tokens": 0}).replace(": 0", f": {number}")
    assert post(echo_server, body).json()["error"]["param"] == "max_tokens"


@pytest.mark.parametrize("n", [1, 2])
def test_no_token_is_counted_before_the_first(echo_server: LiveServer, n: int) -> None:
    options = {"include_usage": True, "continuous_usage_stats": True}
    body = {"messages": HELLO, "stream": True, "stream_options": options, "n": n, "temperature": 1.0}
    events = streamed(echo_server, body)
    roles = [event for event in events if event["choices"] and event["choices"][0]["delta"].get("role")]
    assert [event["usage"]["completion_tokens"] for event in roles] == [0] * n
    assert all(event["usage"]["prompt_tokens"] > 10 for event in roles)


@pytest.mark.parametrize("usage", [False, None])
def test_without_usage_there_is_none_in_between_either(echo_server: LiveServer, usage: bool | None) -> None:
    options = {"include_usage": usage, "continuous_usage_stats": True}
    body = {"messages": HELLO, "stream": True, "stream_options": options}
    assert not any("usage" in event for event in streamed(echo_server, body))
