"""The model that a server lists first, and the sentence where it lists none."""

import asyncio

import pytest

from edgevlm.errors import CommandError
from edgevlm.served_model import served_model
from tests.bench.byte_server import HEAD, with_server


def listed(answer: bytes, *words: str) -> str:
    return asyncio.run(with_server([answer], lambda server: asyncio.to_thread(served_model, server, *words)))


def test_the_first_one_counts() -> None:
    assert listed(HEAD + b'\r\n{"data": [{"id": "a"}, {"id": "b"}]}') == "a"


@pytest.mark.parametrize(
    ("answer", "words", "sentence"),
    [
        (HEAD + b'\r\n{"data": []}', ("; name one",), "lists no model; name one."),
        (HEAD + b"\r\n<html>", (), "lists no model."),
        (b"HTTP/1.1 404 No\r\n\r\n", (), "has no such model, or no chat endpoint under /v1 (404)."),
        (b"HTTP/1.1 502 Bad\r\n\r\n<html>", (), "cannot be used: the first answer is 502."),
        (
            b'HTTP/1.1 503 Busy\r\n\r\n{"error": {"message": "Loading."}}',
            ("", "measured"),
            "cannot be measured: the first answer is 503: Loading.",
        ),
        (b"", (), "cannot be used: the first answer is broken off: the connection was closed before"),
    ],
)
def test_what_lists_none_is_one_sentence(answer: bytes, words: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(CommandError) as error:
        listed(answer, *words)
    assert sentence in str(error.value)
