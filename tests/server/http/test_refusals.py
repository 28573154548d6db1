"""What must not be served: each a 4xx in OpenAI's shape with a fixed, clear text, and the server goes on."""

import json
import socket
from typing import Any

import httpx
import pytest

from tests.live import LiveServer
from tests.pictures import data_url, image_part, text_part, user

HELLO = [{"role": "user", "content": "hello"}]
SECRET = "zq7secret"


def post(server: LiveServer, content: bytes | str, content_type: str = "application/json") -> httpx.Response:
    return server.client.post("/v1/chat/completions", content=content, headers={"content-type": content_type})


def check_error(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["x-request-id"]
    body = response.json()
    assert set(body) == {"error"}
    error: dict[str, Any] = body["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["code"] == code
    assert error["message"].endswith(".")
    for leak in (SECRET, "Traceback", "0x", ".py", "pydantic", "edgevlm_"):
        assert leak not in response.text
    return error


@pytest.fixture(autouse=True)
def still_serving(echo_server: LiveServer) -> Any:
    yield
    response = echo_server.chat("still there?", max_tokens=4)
    assert response.status_code == 200
    assert response.json()["choices"][0]["message"]["content"]
    assert echo_server.service.admission.inside == 0


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
    "body",
    [
        "",
        "{",
        "null-ish",
        '{"messages": [}',
        '{"messages": [], "messages": []}',
        '{"temperature": NaN, "messages": []}',
        '{"temperature": Infinity, "messages": []}',
        '{"temperature": 1e400, "messages": []}',
        "[" * 40_000,
        '{"a":' * 40_000,
        '{"max_tokens": ' + "9" * 10_000 + "}",
        json.dumps({"messages": HELLO}).encode("utf-16"),
        b"\xef\xbb\xbf" + json.dumps({"messages": HELLO}).encode(),
        b"\xff\xfe",
    ],
)
def test_what_is_not_json_is_refused(echo_server: LiveServer, body: bytes | str) -> None:
    check_error(post(echo_server, body), 400, "invalid_json")


@pytest.mark.parametrize(
    "body",
    [
        '{"metadata": {"a": [' + "[]," * 3_000_000 + "[]]}}",
        "{" + ",".join(f'"k{n}": 1' for n in range(600_000)) + "}",
        "[" * 100_000,
        '{"a":' * 100_000,
    ],
)
def test_a_body_of_countless_values_is_refused_before_it_costs_anything(echo_server: LiveServer, body: str) -> None:
    check_error(post(echo_server, body), 400, "too_many_values")


@pytest.mark.parametrize("body", ["[]", "null", "5", '"text"'])
def test_json_that_is_no_object_is_refused(echo_server: LiveServer, body: str) -> None:
    check_error(post(echo_server, body), 400, "invalid_value")


def test_a_lone_surrogate_is_refused(echo_server: LiveServer) -> None:
    body = '{"messages": [{"role": "user", "content": "a\\ud800b"}]}'
    assert check_error(post(echo_server, body), 400, "invalid_value")["param"] == "messages.0.content"
    check_error(
        post(echo_server, '{"messages": [{"role": "user", "content": "a"}], "\\ud800": 1}'),
        400,
        "invalid_value",
    )


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
def test_another_content_type_is_told_the_right_one(echo_server: LiveServer, content_type: str) -> None:
    error = check_error(
        post(echo_server, json.dumps({"messages": HELLO}), content_type), 415, "unsupported_media_type"
    )
    assert "Content-Type: application/json" in error["message"]


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


def test_a_text_of_ten_megabytes_is_refused(echo_server: LiveServer) -> None:
    check_error(echo_server.chat("x" * 10_000_000), 400, "invalid_value")
    check_error(echo_server.chat("x" * 11_000_000), 413, "request_too_large")


def test_a_body_without_length_is_counted_as_it_comes(echo_server: LiveServer) -> None:
    def endless() -> Any:
        for _ in range(200):
            yield b" " * 100_000

    try:
        response = echo_server.client.post(
            "/v1/chat/completions", content=endless(), headers={"content-type": "application/json"}
        )
    except httpx.TransportError:
        return  # the server has answered and closed while we were still sending
    check_error(response, 413, "request_too_large")


def test_an_announced_gigabyte_is_refused_unread(echo_server: LiveServer) -> None:
    with socket.create_connection(echo_server.address, timeout=10) as connection:
        connection.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: 1000000000\r\nExpect: 100-continue\r\n\r\n"
        )
        assert connection.recv(1000).startswith(b"HTTP/1.1 413")


def test_another_model_is_not_found(echo_server: LiveServer) -> None:
    assert check_error(echo_server.chat("hi", model=SECRET), 404, "model_not_found")["param"] == "model"


@pytest.mark.parametrize(
    "path",
    [
        "/v1",
        "/v1/chat",
        "/redoc",
        "/docs/app.py",
        "/docs/..%2fapp.py",
        "/v1/chat/completions/x",
        "/%00",
        "/..%2fetc",
    ],
)
def test_unknown_paths_are_not_found(echo_server: LiveServer, path: str) -> None:
    check_error(echo_server.client.get(path), 404, "not_found")


def test_the_wrong_method_is_told_the_right_one(echo_server: LiveServer) -> None:
    response = echo_server.client.get("/v1/chat/completions")
    check_error(response, 405, "method_not_allowed")
    assert response.headers["allow"] == "POST"


@pytest.mark.parametrize("given", ["line-4.camera_2", "a" * 128])
def test_a_plain_request_id_is_kept(echo_server: LiveServer, given: str) -> None:
    response = echo_server.client.get("/v1/models", headers={"x-request-id": given})
    assert response.headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["a" * 129, "a b", "<script>", ""])
def test_an_odd_request_id_is_replaced(echo_server: LiveServer, given: str) -> None:
    response = echo_server.client.get("/v1/models", headers={"x-request-id": given})
    assert len(response.headers["x-request-id"]) == 32


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"nonsense\r\n\r\n",
        b"GET /\x01 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\r\n\r\n",
    ],
)
def test_what_is_not_http_gets_our_shape_too(echo_server: LiveServer, request_bytes: bytes) -> None:
    with socket.create_connection(echo_server.address, timeout=10) as connection:
        connection.sendall(request_bytes)
        head, _, body = connection.makefile("rb").read().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400")
    assert b"x-request-id: " in head
    assert json.loads(body)["error"]["code"] == "invalid_http"


def test_a_slash_too_many_is_not_redirected(echo_server: LiveServer) -> None:
    response = echo_server.client.get("/health/", headers={"host": "elsewhere.example"})
    check_error(response, 404, "not_found")


def test_a_huge_header_is_refused(echo_server: LiveServer) -> None:
    with socket.create_connection(echo_server.address, timeout=10) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nX-Big: " + b"a" * 1_000_000 + b"\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 4")
