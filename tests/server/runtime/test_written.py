"""Tokens joined are the text, whatever the tokens are and wherever a stop text cuts."""

import pytest
from edgevlm_server.runtime.logprobs import Alternative, Logprobs
from edgevlm_server.runtime.written import TokenTexts, Written, alternative
from edgevlm_server.text.detokenizer import Detokenizer
from edgevlm_server.text.tokenizer import Tokenizer
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import GOLDEN

TOKENIZER = Tokenizer(GOLDEN / "v2" / "checkpoint" / "tokenizer.model")
FIRST_BYTE = 3
"""Byte tokens stand behind the control tokens."""
SPACE = TOKENIZER.encode(" ", space_prefix=False)[0]

Piece = tuple[str, tuple[Written, ...]]


def written(
    tokens: list[int], stop: tuple[str, ...] = (), min_tokens: int = 0, keep_space: bool = False
) -> list[Piece]:
    text = Detokenizer(TOKENIZER, stop, min_tokens, keep_space=keep_space)
    texts = TokenTexts(TOKENIZER, text)
    pieces = []
    for token in tokens:
        pieces.append(texts.push(token, Logprobs(Alternative(token, -0.5), ())))
        if text.stopped is not None:
            break
    return [*pieces, texts.finish()]


def ids(text: str) -> list[int]:
    return TOKENIZER.encode(text, space_prefix=True)


def of_bytes(data: bytes) -> list[int]:
    return [FIRST_BYTE + byte for byte in data]


any_token = st.integers(0, TOKENIZER.vocab_size - 1) | st.sampled_from(
    [SPACE, 0, 1, 2, *of_bytes("€漢 \u3000".encode())]
)


@given(
    tokens=st.lists(any_token, max_size=30),
    stop=st.lists(st.sampled_from(["a", "e ", "\ufffd", "the", "€", "b\x80", " "]), max_size=3).map(tuple),
    min_tokens=st.integers(0, 6),
    keep_space=st.booleans(),
)
def test_joined_they_are_the_text(
    tokens: list[int], stop: tuple[str, ...], min_tokens: int, keep_space: bool
) -> None:
    plain = Detokenizer(TOKENIZER, stop, min_tokens, keep_space=keep_space)
    expected = ""
    for token in tokens:
        if plain.stopped is None:
            expected += plain.push(token)
    expected += plain.finish()
    pieces = written(tokens, stop, min_tokens, keep_space)
    assert "".join(text for text, _ in pieces) == expected
    for text, some in pieces:
        assert "".join(one.text for one in some) == text, "of each piece as of the whole"
    every = [one for _, some in pieces for one in some]
    assert all(one.data for one in every), "tokens without any text are left out"
    chosen = iter(tokens)
    assert all(one.logprobs.chosen.token in chosen for one in every), "in their order"


@given(
    text=st.text(st.characters(exclude_categories=["Cs"]), max_size=20), stop=st.text("abc€", min_size=1, max_size=2)
)
def test_their_bytes_are_the_texts_bytes(text: str, stop: str) -> None:
    pieces = written(ids(text), (stop,))
    data = b"".join(one.data for _, some in pieces for one in some)
    assert data.decode() == "".join(text for text, _ in pieces)


@pytest.mark.parametrize(
    ("tokens", "stop", "expected"),
    [
        ([SPACE, SPACE, *ids("a")], (), [("a", b"a")]),
        (of_bytes("€".encode()), (), [("", b"\xe2"), ("", b"\x82"), ("€", b"\xac")]),
        (of_bytes("€".encode()[:2]), (), [("", b"\xe2"), ("\ufffd", b"\x82")]),
        (of_bytes(b"ab"), ("b",), [("a", b"a")]),
        (of_bytes("\u3000a".encode()), (), [("a", b"a")]),
    ],
)
def test_the_texts_of_single_tokens(
    tokens: list[int], stop: tuple[str, ...], expected: list[tuple[str, bytes]]
) -> None:
    assert [(one.text, one.data) for _, some in written(tokens, stop) for one in some] == expected


def test_a_token_that_a_stop_text_cuts_keeps_what_is_in_front_of_it() -> None:
    long = next(token for token in range(259, TOKENIZER.vocab_size) if len(TOKENIZER.bytes_of(token).strip()) > 2)
    text = TOKENIZER.bytes_of(long).decode().lstrip()
    pieces = written([long, *of_bytes(b"x")], (text[1:],))
    assert [(one.text, one.data) for _, some in pieces for one in some] == [(text[0], text[0].encode())]


def test_what_might_begin_an_answer_is_shown_without_its_space() -> None:
    word = next(token for token in ids("a gauge") if TOKENIZER.bytes_of(token).startswith(b" ") and token != SPACE)
    text = TOKENIZER.bytes_of(word).decode()
    assert alternative(TOKENIZER, word, first=True) == (text[1:], text[1:].encode())
    assert alternative(TOKENIZER, word, first=False) == (text, text.encode())
    assert alternative(TOKENIZER, SPACE, first=True) == (" ", b" ")
    assert alternative(TOKENIZER, 2, first=True) == ("</s>", b"")
    firsts = [one.first for _, some in written(ids("a gauge")) for one in some]
    assert firsts == [True, *[False] * (len(firsts) - 1)]
    assert not any(one.first for _, some in written(ids("a"), keep_space=True) for one in some)
