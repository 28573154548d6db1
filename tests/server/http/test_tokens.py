"""Tokens over a socket: what /tokenize says is what the chat route computes, and /detokenize is its way back."""

from typing import Any

import pytest
from edgevlm_engines import IMAGE_TOKEN
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.live import LiveServer
from tests.pictures import image_part, text_part, user
from tests.server.http.refusing import check_error

SHOWN = user(image_part(), text_part("What is it?"))


def post(server: LiveServer, path: str, body: Any) -> dict[str, Any]:
    response = server.client.post(path, json=body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def test_a_text_has_vllms_shape(echo_server: LiveServer) -> None:
    body = post(echo_server, "/tokenize", {"prompt": "hello", "model": "v2"})
    assert set(body) == {"count", "max_model_len", "tokens", "token_strs"}
    assert body["count"] == len(body["tokens"])
    assert body["max_model_len"] == 2048
    assert body["token_strs"] is None


def test_special_tokens_and_strings_are_given_when_asked_for(echo_server: LiveServer) -> None:
    with_begin = post(echo_server, "/tokenize", {"prompt": "hello", "return_token_strs": True})
    assert with_begin["token_strs"][0] == "<s>"
    assert "".join(with_begin["token_strs"][1:]) == "\u2581hello"
    without = post(echo_server, "/tokenize", {"prompt": "hello", "add_special_tokens": False})
    assert without["tokens"] == with_begin["tokens"][1:]


def test_a_conversation_is_counted_as_the_chat_route_counts_it(echo_server: LiveServer) -> None:
    usage = post(echo_server, "/v1/chat/completions", {"messages": SHOWN})["usage"]
    tokens = post(echo_server, "/tokenize", {"messages": SHOWN, "return_token_strs": True})
    counted = post(echo_server, "/v1/chat/completions/input_tokens", {"messages": SHOWN, "max_tokens": 5})
    assert tokens["count"] == usage["prompt_tokens"]
    assert tokens["tokens"].count(IMAGE_TOKEN) == tokens["token_strs"].count("<image>") == 144
    assert counted == {"object": "response.input_tokens", "input_tokens": usage["prompt_tokens"]}


def test_a_prompt_too_long_to_be_served_is_still_counted(echo_server: LiveServer) -> None:
    body = {"messages": [{"role": "user", "content": "a b " * 2000}]}
    check_error(echo_server.client.post("/v1/chat/completions", json=body), 400, "context_length_exceeded")
    assert post(echo_server, "/v1/chat/completions/input_tokens", body)["input_tokens"] > 2048


@pytest.mark.slow
@given(text=st.text(max_size=60))
@settings(max_examples=60, deadline=None)
def test_there_and_back(echo_server: LiveServer, text: str) -> None:
    for special in (True, False):
        tokens = post(echo_server, "/tokenize", {"prompt": text, "add_special_tokens": special})["tokens"]
        assert post(echo_server, "/detokenize", {"tokens": tokens}) == {"prompt": text}


def test_half_a_character_is_replaced(echo_server: LiveServer) -> None:
    first_byte_of_two = 3 + 0xC3
    assert post(echo_server, "/detokenize", {"tokens": [first_byte_of_two]}) == {"prompt": "\ufffd"}


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/tokenize", {}, "prompt"),
        ("/tokenize", {"prompt": 5}, "prompt"),
        ("/tokenize", {"messages": []}, "messages"),
        ("/detokenize", {"tokens": "1"}, "tokens"),
        ("/detokenize", {"tokens": [1, -200]}, "tokens.1"),
        ("/detokenize", {"tokens": [1, 2, 10**6]}, "tokens.2"),
        ("/detokenize", {"tokens": [1] * 40_000}, "tokens"),
    ],
)
def test_what_is_wrong_is_named(echo_server: LiveServer, path: str, body: Any, param: str) -> None:
    assert check_error(echo_server.client.post(path, json=body), 400, "invalid_value")["param"] == param


@pytest.mark.parametrize(
    "fields",
    [
        {"add_generation_prompt": False},
        {"continue_final_message": True},
        {"add_special_tokens": True},
        {"add_special_tokens": 0},
    ],
)
def test_the_template_has_one_form(echo_server: LiveServer, fields: dict[str, Any]) -> None:
    response = echo_server.client.post("/tokenize", json={"messages": SHOWN, **fields})
    assert check_error(response, 400, "unsupported_parameter")["param"] == next(iter(fields))


def test_null_is_absent(echo_server: LiveServer) -> None:
    plain = post(echo_server, "/tokenize", {"prompt": "hello"})
    nulls = {"messages": None, "add_special_tokens": None, "return_token_strs": None, "other": None}
    assert post(echo_server, "/tokenize", {"prompt": "hello", **nulls}) == plain
    shown = post(echo_server, "/tokenize", {"messages": SHOWN})
    defaults = {"add_generation_prompt": True, "continue_final_message": False, "add_special_tokens": False}
    assert post(echo_server, "/tokenize", {"messages": SHOWN, **defaults, "prompt": None}) == shown


@pytest.mark.parametrize("path", ["/tokenize", "/detokenize", "/v1/chat/completions/input_tokens"])
def test_bodies_are_bounded_and_of_one_type(echo_server: LiveServer, path: str) -> None:
    check_error(echo_server.client.post(path, content="prompt=a"), 415, "unsupported_media_type")
    check_error(echo_server.client.post(path, json={"prompt": "x" * 11_000_000}), 413, "request_too_large")


def test_another_model_is_not_found(echo_server: LiveServer) -> None:
    for path, body in (("/tokenize", {"prompt": "a"}), ("/detokenize", {"tokens": []})):
        check_error(echo_server.client.post(path, json={**body, "model": "gpt-5"}), 404, "model_not_found")
