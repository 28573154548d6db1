"""One chat request: what comes of an answer in every framing that servers write, and of what is none."""

import asyncio
from collections.abc import Sequence

import pytest

from edgevlm.bench.client import OK, STREAM_ERROR, Sample, ask
from edgevlm.exchange_failure import BROKEN_OFF, TIMEOUT
from tests.bench.byte_server import ANSWER, HEAD, chunk, delta, with_server


async def _answered(pieces: Sequence[bytes], *, timeout: float = 30) -> Sample:
    """What a client makes of these bytes. Its clock stands at 1."""
    return await with_server(pieces, lambda server: ask(server, b"{}", 0.0, lambda: 1.0, timeout))


def answered(text: bytes, cut: int = 1000) -> Sample:
    return asyncio.run(_answered([text[start : start + cut] for start in range(0, len(text), cut)]))


def chunked(body: bytes, size: int) -> bytes:
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x;note=1\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\nX-Sum: 1\r\n\r\n"


@pytest.mark.parametrize("cut", [1, 2, 3, 7, 50, 10_000])
@pytest.mark.parametrize(
    "text",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD + b"transfer-encoding: Chunked\r\n\r\n" + chunked(ANSWER, 100),
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(ANSWER, 5),
        HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(ANSWER), ANSWER),
        HEAD.replace(b"1.1", b"1.0") + b"\r\n" + ANSWER.replace(b"\n", b"\r\n"),
    ],
)
def test_every_framing_of_an_answer_is_read(text: bytes, cut: int) -> None:
    sample = answered(text, cut)
    assert (sample.outcome, sample.detail) == (OK, "")
    assert sample.pieces == (1.0, 1.0)
    assert (sample.prompt_tokens, sample.completion_tokens, sample.cached_tokens) == (50, 7, 20)


@pytest.mark.parametrize(
    ("text", "outcome", "detail"),
    [
        (HEAD + b"Content-Length: 9999\r\n\r\n" + ANSWER, BROKEN_OFF, "closed before"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(ANSWER, 99)[:-30], BROKEN_OFF, "closed before"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n", BROKEN_OFF, "not HTTP"),
        (HEAD + b"\r\n" + delta("red ").encode(), BROKEN_OFF, "incomplete"),
        (HEAD + b'\r\n{"choices": []}', BROKEN_OFF, "not a stream"),
        (HEAD + b"\r\ndata: 7\n\n", BROKEN_OFF, "not a JSON object"),
        (HEAD + b"X: " + 70_000 * b"x", BROKEN_OFF, "too long"),
        (HEAD + b"\r\n" + chunk(error={"message": "the device\nis lost"}).encode(), STREAM_ERROR, "device is lost"),
        (b"SSH-2.0-OpenSSH\r\n", BROKEN_OFF, "not HTTP"),
        (b"", BROKEN_OFF, ""),
        (b'HTTP/1.1 503 Busy\r\n\r\n{"error": {"message": "later\\u001b[2J"}}', "503", "later"),
        (HEAD + b'\r\ndata: {"choices": [7, {"delta": "x"}]}\n\n', BROKEN_OFF, "incomplete"),
        (b'HTTP/1.1 422 No\r\n\r\n{"error": "unknown field"}', "422", "unknown field"),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n<html>", "502", ""),
    ],
)
def test_what_is_no_whole_answer_is_an_error_that_says_so(text: bytes, outcome: str, detail: str) -> None:
    sample = asyncio.run(_answered([text]))
    assert sample.outcome == outcome
    assert detail in sample.detail
    assert sample.detail.isprintable()


def test_a_server_that_says_nothing_is_given_up() -> None:
    assert asyncio.run(_answered([], timeout=0.05)).outcome == TIMEOUT
