"""Bodies that are no JSON, requests that are no HTTP, paths that do not exist: refused in the same shape."""

import json
import socket
from typing import Any

import httpx
import pytest

from tests.live import LiveServer
from tests.server.http.refusing import HELLO, check_error, post

pytestmark = pytest.mark.usefixtures("still_serving")


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


def test_a_text_of_ten_megabytes_is_refused(echo_server: LiveServer) -> None:
    check_error(echo_server.chat("x" * 10_000_000), 400, "context_length_exceeded")
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
