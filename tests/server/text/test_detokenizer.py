"""Tokens to text: equal to decoding at once, whole characters only, cut at stop strings wherever tokens end."""

import pytest
import sentencepiece
from edgevlm_server.text.detokenizer import Detokenizer
from edgevlm_server.text.tokenizer import Tokenizer
from hypothesis import example, given
from hypothesis import strategies as st

from tests.conftest import GOLDEN

MODEL = GOLDEN / "v2" / "checkpoint" / "tokenizer.model"
TOKENIZER = Tokenizer(MODEL)
REFERENCE = sentencepiece.SentencePieceProcessor(model_file=str(MODEL))
TEXT = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("aeé°€😀 \n"), max_size=40)


def pieces(ids: list[int], stop: tuple[str, ...] = ()) -> tuple[list[str], Detokenizer]:
    stream = Detokenizer(TOKENIZER, stop)
    return [*(stream.push(token) for token in ids), stream.finish()], stream


@given(TEXT)
def test_any_text_comes_back(text: str) -> None:
    out, _ = pieces(TOKENIZER.encode(text, space_prefix=True))
    assert "".join(out) == text.lstrip()


@given(st.lists(st.integers(3, 399), max_size=30))
def test_any_tokens_give_what_sentencepiece_gives(ids: list[int]) -> None:
    out, _ = pieces(ids)
    data = b"".join(TOKENIZER.bytes_of(token) for token in ids)
    assert "".join(out) == data.decode("utf-8", "replace").lstrip()
    try:
        data.decode()
    except UnicodeDecodeError:
        return  # both are free to mark broken bytes as they like
    assert "".join(out) == str(REFERENCE.decode(ids)).lstrip()


@given(TEXT)
def test_no_piece_ends_inside_a_character(text: str) -> None:
    out, _ = pieces(TOKENIZER.encode(text, space_prefix=True))
    assert "\ufffd" not in "".join(out) or "\ufffd" in text


def test_an_incomplete_character_at_the_end_is_marked() -> None:
    euro = TOKENIZER.encode("€", space_prefix=False)
    out, _ = pieces(euro[:-1])
    assert out == ["", "", "\ufffd"]


@given(TEXT, st.lists(st.text("aeé°€😀 \nb", min_size=1, max_size=4), min_size=1, max_size=3))
@example("€aa", ["a", "€aa"])
def test_text_is_cut_as_soon_as_a_stop_string_is_whole(text: str, stops: list[str]) -> None:
    """The answer ends with the token that completes one; if that completes several, at the one that begins first."""
    ids = TOKENIZER.encode(text, space_prefix=True)
    out, stream = pieces(ids, tuple(stops))
    whole = ""
    for piece in pieces(ids)[0]:
        whole += piece
        found = [at for stop in stops if (at := whole.find(stop)) >= 0]
        if found:
            whole = whole[: min(found)]
            break
    assert "".join(out) == whole
    assert (stream.stopped is not None) == bool(found)


@pytest.mark.parametrize("stop", ["lamp", "e la", "is"])
def test_a_stop_string_across_tokens_is_never_shown_in_part(stop: str) -> None:
    ids = TOKENIZER.encode("the lamp is on", space_prefix=True)
    assert all(stop != TOKENIZER.bytes_of(token).decode() for token in ids)
    out, stream = pieces(ids, (stop,))
    assert "".join(out) == "the lamp is on".split(stop)[0]
    assert stream.stopped == stop


@given(TEXT, st.lists(st.text("aeé°€😀 \nb", min_size=1, max_size=4), min_size=1, max_size=3), st.integers(0, 12))
@example("aaaa", ["aa"], 1)
def test_stop_strings_count_behind_the_least_number_of_tokens(text: str, stops: list[str], least: int) -> None:
    ids = TOKENIZER.encode(text, space_prefix=True)
    stream, free = Detokenizer(TOKENIZER, stops, least), Detokenizer(TOKENIZER)
    early = "".join(stream.push(token) for token in ids[:least])
    assert early == "".join(free.push(token) for token in ids[:least])
    late = "".join(stream.push(token) for token in ids[least:]) + stream.finish()
    rest = "".join(free.push(token) for token in ids[least:]) + free.finish()
    assert rest.startswith(late)
    assert not any(stop in late for stop in stops)
    assert (late == rest) == (stream.stopped is None)


@given(st.lists(st.integers(3, 399), max_size=30), st.lists(st.text("ae \nb", min_size=1, max_size=3), max_size=2))
def test_characters_are_counted_as_they_come_and_as_they_are_shown(ids: list[int], stops: list[str]) -> None:
    stream, out = Detokenizer(TOKENIZER, stops), ""
    for token in ids:
        out += stream.push(token)
        assert stream.shown == len(out) <= stream.read
    out += stream.finish()
    assert stream.shown == len(out)


def test_what_looks_like_a_stop_string_and_is_none_comes_out_later() -> None:
    ids = TOKENIZER.encode("abcabd", space_prefix=True)
    out, stream = pieces(ids, ("abd!",))
    assert "".join(out) == "abcabd"
    assert stream.stopped is None
    assert out[-1], "the tail could still have become the stop string"


def test_nothing_comes_after_a_stop_string() -> None:
    stream = Detokenizer(TOKENIZER, ("b",))
    for token in TOKENIZER.encode("abab", space_prefix=True):
        stream.push(token)
    assert [stream.push(token) for token in TOKENIZER.encode("more", space_prefix=True)] == [""] * len(
        TOKENIZER.encode("more", space_prefix=True)
    )
    assert stream.finish() == ""


def test_control_tokens_are_silent() -> None:
    out, _ = pieces([1, 2, *TOKENIZER.encode("yes", space_prefix=True), 2])
    assert "".join(out) == "yes"


def test_every_byte_has_a_token() -> None:
    assert sorted(TOKENIZER.bytes_of(token) for token in range(3, 259)) == [bytes([value]) for value in range(256)]
