"""Bodies that are no JSON, requests that are no HTTP, paths that do not exist: refused in the same shape."""

import gzip
import json
import socket
from contextlib import suppress
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
        b"\xef\xbb\xbf",
    ],
)
def test_what_is_not_json_is_refused(echo_server: LiveServer, body: bytes | str) -> None:
    check_error(post(echo_server, body), 400, "invalid_json")


def test_a_key_that_stands_twice_is_told_so(echo_server: LiveServer) -> None:
    body = '{"messages": [{"role": "user", "content": "a", "content": "b"}]}'
    message = check_error(post(echo_server, body), 400, "invalid_json")["message"]
    assert message == "The body has the same key twice in one object."


JSON = json.dumps({"messages": [{"role": "user", "content": "Größe?"}], "max_tokens": 2}, ensure_ascii=False)


def test_the_mark_that_windows_puts_in_front_is_skipped(echo_server: LiveServer) -> None:
    assert post(echo_server, b"\xef\xbb\xbf" + JSON.encode()).status_code == 200


@pytest.mark.parametrize(
    ("encoding", "name"),
    [("utf-16", "UTF-16"), ("utf-16-le", "UTF-16"), ("utf-16-be", "UTF-16"), ("latin-1", "Latin-1")],
)
def test_another_encoding_is_named(echo_server: LiveServer, encoding: str, name: str) -> None:
    message = check_error(post(echo_server, JSON.encode(encoding)), 400, "invalid_json")["message"]
    assert name in message and "UTF-8" in message


@pytest.mark.parametrize("headers", [{}, {"content-encoding": "gzip"}, {"content-encoding": "br"}])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses", "/tokenize", "/ask"])
def test_a_compressed_body_is_told_so(echo_server: LiveServer, path: str, headers: dict[str, str]) -> None:
    media_type = "multipart/form-data; boundary=XX" if path == "/ask" else "application/json"
    if path == "/ask" and not headers:
        headers = {"content-encoding": "deflate"}
    response = echo_server.client.post(
        path, content=gzip.compress(JSON.encode()), headers={"content-type": media_type, **headers}
    )
    assert "gzip" in check_error(response, 415, "unsupported_content_encoding")["message"]
    assert response.headers["accept-encoding"] == "identity"


def test_no_encoding_may_be_said(echo_server: LiveServer) -> None:
    headers = {"content-type": "application/json; charset=UTF-8", "content-encoding": "identity"}
    assert echo_server.client.post("/v1/chat/completions", content=JSON.encode(), headers=headers).is_success


@pytest.mark.parametrize(
    "path", ["/health", "/ready", "/version", "/openapi.json", "/v1/models", "/nowhere", "/v1/chat/completions"]
)
def test_every_json_answer_says_that_it_is_utf_8(echo_server: LiveServer, path: str) -> None:
    assert echo_server.client.get(path).headers["content-type"] == "application/json; charset=utf-8"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"messages": HELLO}),
        ("/v1/completions", {"prompt": "a"}),
        ("/v1/responses", {"input": "a"}),
        ("/tokenize", {"prompt": "a"}),
        ("/v1/chat/completions", {}),
    ],
)
def test_every_json_answer_to_a_post_does_too(echo_server: LiveServer, path: str, body: dict[str, Any]) -> None:
    response = echo_server.client.post(path, json=body)
    assert response.headers["content-type"] == "application/json; charset=utf-8"


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
    message = check_error(post(echo_server, body), 400, "invalid_value")["message"]
    assert message == "The body: It must be an object."


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"messages": ["a"]}, "messages.0: It must be an object."),
        ({"messages": "a"}, "messages: It must be a list."),
        ({"messages": HELLO, "logit_bias": [5]}, "logit_bias: It must be an object."),
    ],
)
def test_what_has_the_wrong_kind_is_told_in_jsons_words(
    echo_server: LiveServer, fields: dict[str, Any], message: str
) -> None:
    response = echo_server.client.post("/v1/chat/completions", json=fields)
    assert check_error(response, 400, "invalid_value")["message"] == message


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
    with socket.create_connection(echo_server.address, timeout=60) as connection:
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
    assert response.headers["allow"] == "POST, OPTIONS"


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
    with socket.create_connection(echo_server.address, timeout=60) as connection:
        connection.sendall(request_bytes)
        head, _, body = connection.makefile("rb").read().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400")
    assert b"content-type: application/json; charset=utf-8" in head
    assert b"x-request-id: " in head
    assert json.loads(body)["error"]["code"] == "invalid_http"


def test_a_huge_header_is_refused(echo_server: LiveServer) -> None:
    with socket.create_connection(echo_server.address, timeout=60) as connection:
        with suppress(ConnectionError):  # it may have been cut off, and the answer can be read all the same
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nX-Big: " + b"a" * 1_000_000 + b"\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 4")
