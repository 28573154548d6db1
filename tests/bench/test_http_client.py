"""The HTTP client of commands and benchmarks: addresses, whole answers, and what is none."""

import asyncio

import pytest

from edgevlm.errors import CommandError
from edgevlm.http_client import (
    MOST_OF_A_BODY,
    Answer,
    BrokenOff,
    ExchangeError,
    NoConnection,
    Server,
    TooSlow,
    fetch,
    read,
    within,
)
from tests.bench.byte_server import with_server


def test_an_answer_is_read_whole_with_whatever_status() -> None:
    answer = b"HTTP/1.1 404 No\r\nContent-Length: 5\r\n\r\nabcde and more"
    assert asyncio.run(with_server([answer], lambda server: read(server, "GET", "/x"))) == Answer(404, b"abcde")


def test_headers_and_path_are_sent() -> None:
    head = Server.at("http://h/team/v1", "sk-1").head("GET", "/metrics", 0, {"x-a": "b"}).decode()
    assert head.startswith("GET /team/metrics HTTP/1.1\r\nHost: h:80\r\n")
    assert "\r\nx-a: b\r\n" in head and head.endswith("\r\nAuthorization: Bearer sk-1\r\n\r\n")


def test_nobody_reads_for_ever() -> None:
    answer = b"HTTP/1.1 200 OK\r\n\r\n" + bytes(3 * MOST_OF_A_BODY)
    body = asyncio.run(with_server([answer], lambda server: read(server, "GET", "/"))).body
    assert MOST_OF_A_BODY < len(body) < 2 * MOST_OF_A_BODY


def test_without_an_answer_there_is_a_reason() -> None:
    with pytest.raises(NoConnection, match="Connection refused"):
        fetch(Server.at("http://127.0.0.1:9"), "GET", "/", seconds=30)
    with pytest.raises(BrokenOff, match="not HTTP"):
        asyncio.run(with_server([b"SSH\r\n"], lambda server: read(server, "GET", "/")))
    with pytest.raises(TooSlow, match="it took more than"):
        asyncio.run(with_server([], lambda server: within(0.05, read(server, "GET", "/"))))
    assert all(issubclass(error, ExchangeError) for error in (NoConnection, BrokenOff, TooSlow))


@pytest.mark.parametrize(
    ("url", "prefix", "host", "port"),
    [
        ("http://127.0.0.1:8000", "", "127.0.0.1", 8000),
        ("http://h:1/v1/", "", "h", 1),
        ("https://h/team/v1", "/team", "h", 443),
        ("http://[::1]:7/v1/chat/completions", "", "::1", 7),
        ("camera.local:80", "", "camera.local", 80),
    ],
)
def test_an_address_may_be_written_in_several_ways(url: str, prefix: str, host: str, port: int) -> None:
    server = Server.at(url, None)
    assert (server.prefix, server.host, server.port) == (prefix, host, port)
    assert (server.tls is not None) == url.startswith("https")


@pytest.mark.parametrize(
    ("url", "key"), [("ftp://h", None), ("http://", None), ("http://h:x", None), ("http://h", "a\r\nb: c")]
)
def test_what_is_no_address_or_no_key_is_refused(url: str, key: str | None) -> None:
    with pytest.raises(CommandError):
        Server.at(url, key)
