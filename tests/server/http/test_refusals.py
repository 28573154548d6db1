"""What must not be served: each a 4xx in OpenAI's shape with a fixed, clear text, and the server goes on."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.live import LiveServer
from tests.pictures import data_url, image_part, text_part, user
from tests.server.http.refusing import HELLO, SECRET, check_error

pytestmark = pytest.mark.usefixtures("still_serving")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": None}, "messages"),
        ({"messages": "hello"}, "messages"),
        ({"messages": HELLO * 1025}, "messages"),
        ({"messages": [{"role": SECRET, "content": "hi"}]}, "messages.0.role"),
        ({"messages": [{"role": "tool", "content": "hi"}]}, "messages.0.role"),
        ({"messages": [{"role": "user"}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": None}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": []}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": [{"type": SECRET}]}]}, "messages.0.content.0"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages.0.content.0.text"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages.0.content.0"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
            "messages.0.content.0",
        ),
        ({"messages": [*HELLO, {"role": "system", "content": "late"}]}, "messages.1.role"),
        ({"messages": [{"role": "system", "content": "alone"}]}, "messages"),
        ({"messages": [*HELLO, {"role": "assistant", "content": "last"}]}, "messages"),
        ({"messages": [{"role": "assistant", "content": [image_part()]}, *HELLO]}, "messages.0.content"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"max_tokens": "16"}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_completion_tokens": 0}, "max_completion_tokens"),
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": SECRET}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"logit_bias": {"5": True}}, "logit_bias.5"),
        ({"top_p": 0}, "top_p"),
        ({"top_p": 1.1}, "top_p"),
        ({"top_k": -2}, "top_k"),
        ({"seed": 2**63}, "seed"),
        ({"seed": 0.5}, "seed"),
        ({"stop": ""}, "stop"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
        ({"stop": [5]}, "stop.0"),
        ({"stop": "x" * 65}, "stop"),
        ({"n": 0}, "n"),
        ({"n": 9}, "n"),
        ({"n": 17}, "n"),
        ({"n": 2.5}, "n"),
        ({"min_tokens": -1}, "min_tokens"),
        ({"min_tokens": 5, "max_tokens": 4}, "min_tokens"),
        ({"min_p": -0.1}, "min_p"),
        ({"min_p": 1.1}, "min_p"),
        ({"presence_penalty": 2.1}, "presence_penalty"),
        ({"frequency_penalty": -2.1}, "frequency_penalty"),
        ({"frequency_penalty": "0"}, "frequency_penalty"),
        ({"repetition_penalty": 0}, "repetition_penalty"),
        ({"repetition_penalty": 10.1}, "repetition_penalty"),
        ({"logit_bias": {"400": 1}}, "logit_bias"),
        ({"logit_bias": {"-1": 1}}, "logit_bias"),
        ({"logit_bias": {SECRET: 1}}, "logit_bias"),
        ({"logit_bias": {"5": 101}}, "logit_bias.5"),
        ({"logit_bias": {str(token): 1 for token in range(1025)}}, "logit_bias"),
        ({"logit_bias": [5]}, "logit_bias"),
        ({"ignore_eos": 1}, "ignore_eos"),
        ({"logprobs": 5}, "logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"top_logprobs": 5}, "top_logprobs"),
        ({"logprobs": False, "top_logprobs": 1}, "top_logprobs"),
        ({"stream": "yes"}, "stream"),
        ({"model": 5}, "model"),
    ],
)
def test_wrong_values_are_named(echo_server: LiveServer, fields: dict[str, Any], param: str) -> None:
    response = echo_server.client.post("/v1/chat/completions", json={"messages": HELLO, **fields})
    assert check_error(response, 400, "invalid_value")["param"] == param


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": {"type": "function", "function": {"name": SECRET}}}, "tool_choice"),
        ({"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "required"}}}, "tool_choice"),
        ({"function_call": {"name": SECRET}}, "function_call"),
        ({"messages": [{"role": "assistant", "content": "", "tool_calls": [SECRET]}]}, "messages.0.tool_calls"),
        ({"messages": [{"role": "assistant", "content": "", "audio": {"id": SECRET}}]}, "messages.0.audio"),
        ({"reasoning_effort": "medium"}, "reasoning_effort"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"audio": {"voice": SECRET}}, "audio"),
        ({"web_search_options": {"search_context_size": "low"}}, "web_search_options"),
        ({"best_of": 2}, "best_of"),
        ({"best_of": True}, "best_of"),
        ({"stop_token_ids": [2]}, "stop_token_ids"),
        ({"skip_special_tokens": False}, "skip_special_tokens"),
        ({"add_generation_prompt": False}, "add_generation_prompt"),
        ({"use_beam_search": True}, "use_beam_search"),
        ({"echo": True}, "echo"),
        ({"stream": True, "stream_options": {"chunk": 1}}, "stream_options.chunk"),
        ({f"{SECRET}\u00e9\n": 1}, None),
    ],
)
def test_fields_that_would_do_nothing_are_named(
    echo_server: LiveServer, fields: dict[str, Any], param: str | None
) -> None:
    response = echo_server.client.post("/v1/chat/completions", json={"messages": HELLO, **fields})
    assert check_error(response, 400, "unsupported_parameter")["param"] == param


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("data:image/png;base64,@@@@", "image_invalid"),
        ("data:image/png,plain", "image_invalid"),
        ("data:text/plain;base64,aGVsbG8=", "image_unsupported"),
        (data_url()[:-30], "image_invalid"),
        ("http://127.0.0.1:1/a.png", "remote_images_disabled"),
        ("HTTPS://example.com/a.png", "remote_images_disabled"),
        ("file:///etc/passwd", "image_invalid"),
    ],
)
def test_pictures_that_are_none_are_refused(echo_server: LiveServer, url: str, code: str) -> None:
    body = {"messages": user(image_part(url), text_part())}
    response = echo_server.client.post("/v1/chat/completions", json=body)
    assert check_error(response, 400, code)["param"] == "messages.0.content.0"


def test_a_picture_of_one_pixel_is_a_picture(echo_server: LiveServer) -> None:
    body = {"messages": user(image_part(data_url(size=(1, 1))), text_part()), "max_tokens": 2}
    assert echo_server.client.post("/v1/chat/completions", json=body).status_code == 200


def test_too_many_images_are_refused(echo_server: LiveServer) -> None:
    body = {"messages": user(*[image_part("not looked at")] * 9, text_part())}
    error = check_error(echo_server.client.post("/v1/chat/completions", json=body), 400, "too_many_images")
    assert "8" in error["message"]


LONG = "a b " * 3000
WORDS = "x" * 40_000


@pytest.mark.parametrize("text", [LONG, WORDS])
@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/v1/chat/completions", lambda text: {"messages": user(text_part(text))}, "messages"),
        ("/v1/completions", lambda text: {"prompt": text}, "prompt"),
        ("/v1/responses", lambda text: {"input": text}, "input"),
        ("/v1/responses", lambda text: {"instructions": text, "input": "a"}, "input"),
    ],
)
def test_a_prompt_longer_than_the_context_is_told_in_words_that_clients_know(
    echo_server: LiveServer, path: str, body: Callable[[str], dict[str, Any]], param: str, text: str
) -> None:
    error = check_error(echo_server.client.post(path, json=body(text)), 400, "context_length_exceeded")
    assert error["param"] == param
    known = f"{param}: The prompt is too long: this model's maximum context length is 2048 tokens, but it "
    assert error["message"].startswith(known)


def test_token_ids_that_do_not_fit_are_a_prompt_that_is_too_long(echo_server: LiveServer) -> None:
    response = echo_server.client.post("/v1/completions", json={"prompt": [5] * 40_000})
    assert check_error(response, 400, "context_length_exceeded")["param"] == "prompt"


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/v1/chat/completions", {"messages": HELLO, "logit_bias": {"400": 1}}),
        ("/v1/chat/completions", {"messages": HELLO, "min_tokens": 5, "max_tokens": 4}),
        ("/v1/completions", {"prompt": [1, 400]}),
        ("/detokenize", {"tokens": [400]}),
        ("/v1/chat/completions", {"messages": [*HELLO, {"role": "assistant", "content": "last"}]}),
        ("/v1/responses", {"input": [{"role": "assistant", "content": "last"}]}),
        ("/v1/chat/completions", {"messages": user(*[image_part("not looked at")] * 9)}),
        ("/v1/chat/completions", {"messages": HELLO, "tool_choice": "required"}),
        (
            "/v1/responses",
            {"input": "a", "text": {"format": {"type": "json_schema", "name": "a", "schema": {"not": {}}}}},
        ),
    ],
)
def test_the_text_alone_names_the_field(echo_server: LiveServer, path: str, fields: dict[str, Any]) -> None:
    error = echo_server.client.post(path, json=fields).json()["error"]
    assert error["param"] and error["param"] in error["message"]


def test_no_content_is_told_what_there_may_be(echo_server: LiveServer) -> None:
    for role in ("user", "assistant"):
        body = {"messages": [{"role": role, "content": None}, *HELLO]}
        error = check_error(echo_server.client.post("/v1/chat/completions", json=body), 400, "invalid_value")
        assert error["message"] == "messages.0.content: It must be a text or a list of parts; null is neither."


def test_another_model_is_not_found(echo_server: LiveServer) -> None:
    assert check_error(echo_server.chat("hi", model=SECRET), 404, "model_not_found")["param"] == "model"
