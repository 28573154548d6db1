"""What must not be served: each a 4xx in OpenAI's shape with a fixed, clear text, and the server goes on."""

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
        ({"messages": HELLO * 65}, "messages"),
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
            "messages.0.content.0.image_url.url",
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
        ({"n": 2.0}, "n"),
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
        ({"logprobs": False, "top_logprobs": 0}, "top_logprobs"),
        ({"stream": True, "stream_options": {"continuous_usage_stats": True}}, "stream_options"),
        ({"store": True}, "store"),
        ({"modalities": ["audio"]}, "modalities.0"),
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
        ({"tools": [{"type": "function", "function": {"name": SECRET}}]}, "tools"),
        ({"tool_choice": "auto"}, "tool_choice"),
        ({"tool_choice": {"type": "function"}}, "tool_choice"),
        ({"functions": [{"name": SECRET}]}, "functions"),
        ({"function_call": "auto"}, "function_call"),
        ({"reasoning_effort": "low"}, "reasoning_effort"),
        ({"best_of": 2}, "best_of"),
        ({"stream": True, "stream_options": {"chunk": 1}}, "stream_options.chunk"),
        ({f"{SECRET}\u00e9\n": 1}, None),
    ],
)
def test_fields_that_would_do_nothing_are_named(
    echo_server: LiveServer, fields: dict[str, Any], param: str | None
) -> None:
    response = echo_server.client.post("/v1/chat/completions", json={"messages": HELLO, **fields})
    assert check_error(response, 400, "unsupported_parameter")["param"] == param


def test_stream_options_need_a_stream(echo_server: LiveServer) -> None:
    response = echo_server.chat("hi", stream_options={"include_usage": True})
    assert check_error(response, 400, "invalid_value")["param"] == "stream_options"


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("data:image/png;base64,@@@@", "image_invalid"),
        ("data:image/png,plain", "image_invalid"),
        ("", "image_invalid"),
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
    assert check_error(response, 400, code)["param"] == "messages.0.content"


def test_a_picture_of_one_pixel_is_a_picture(echo_server: LiveServer) -> None:
    body = {"messages": user(image_part(data_url(size=(1, 1))), text_part()), "max_tokens": 2}
    assert echo_server.client.post("/v1/chat/completions", json=body).status_code == 200


def test_too_many_images_are_refused(echo_server: LiveServer) -> None:
    body = {"messages": user(*[image_part("not looked at")] * 9, text_part())}
    error = check_error(echo_server.client.post("/v1/chat/completions", json=body), 400, "too_many_images")
    assert "8" in error["message"]


def test_a_prompt_longer_than_the_context_is_told_both_numbers(echo_server: LiveServer) -> None:
    error = check_error(echo_server.chat("a b " * 3000), 400, "context_length_exceeded")
    assert "2048" in error["message"]
    error = check_error(echo_server.chat("hi", max_tokens=2048), 400, "context_length_exceeded")
    assert "2048 more" in error["message"]
    check_error(echo_server.chat("hi", max_tokens=10**30), 400, "context_length_exceeded")


def test_another_model_is_not_found(echo_server: LiveServer) -> None:
    assert check_error(echo_server.chat("hi", model=SECRET), 404, "model_not_found")["param"] == "model"
