"""Conversations to token ids: the golden ids exactly, and the template in every form that a request can have."""

import json
from pathlib import Path

import numpy as np
import pytest
from edgevlm_engines import IMAGE_TOKEN, Prompt
from edgevlm_export.manifest_parts import SYSTEM_TEXT
from edgevlm_server.text.prompt import Mark, Turn, encode_conversation, render
from edgevlm_server.text.tokenizer import Tokenizer
from hypothesis import given
from hypothesis import strategies as st

from tests.boundaries.walls import ROOT
from tests.conftest import GOLDEN

INTERLEAVED = json.loads((ROOT / "tests/data/prompts/interleaved.json").read_text())
TOKENIZER = Tokenizer(GOLDEN / "v2" / "checkpoint" / "tokenizer.model")


def prompt(*, legacy: bool = True) -> Prompt:
    return Prompt(template="v1", system=SYSTEM_TEXT, legacy=legacy, bos_id=1, eos_id=2, stop_ids=(2,))


def test_golden_ids_come_out(golden: Path) -> None:
    text = json.loads((golden / "ref.json").read_text())["prompt"]
    question = text.partition("<image>\n")[2].removesuffix(" ASSISTANT:")
    tokenizer = Tokenizer(golden / "checkpoint" / "tokenizer.model")
    ids = encode_conversation(tokenizer, prompt(), 1, [Turn("user", (Mark.IMAGE, question))])
    assert ids == np.load(golden / "ref.npz")["input_ids"].ravel().tolist()


def turn_of(turn: str | list[str | None]) -> Turn:
    if isinstance(turn, str):
        return Turn("assistant", (turn,))
    return Turn("user", tuple(Mark.IMAGE if part is None else part for part in turn))


@pytest.mark.parametrize("case", INTERLEAVED)
def test_golden_ids_of_pictures_between_texts_come_out(golden: Path, case: str) -> None:
    tokenizer = Tokenizer(golden / "checkpoint" / "tokenizer.model")
    turns = [turn_of(turn) for turn in INTERLEAVED[case]["turns"]]
    assert encode_conversation(tokenizer, prompt(), 1, turns) == INTERLEAVED[case]["ids"]


def shown(*turns: Turn, system: str = "S.") -> str:
    return "".join(piece if isinstance(piece, str) else piece.value for piece in render(turns, system))


@pytest.mark.parametrize(
    ("turns", "text"),
    [
        ([Turn("user", ("Q",))], "S. USER: Q ASSISTANT:"),
        ([Turn("user", (Mark.IMAGE, "Q"))], "S. USER: <image>\nQ ASSISTANT:"),
        ([Turn("user", (Mark.IMAGE, Mark.IMAGE, "Q"))], "S. USER: <image>\n<image>\nQ ASSISTANT:"),
        (
            [Turn("user", (Mark.IMAGE, "Q1")), Turn("assistant", ("A1",)), Turn("user", ("Q2",))],
            "S. USER: <image>\nQ1 ASSISTANT: A1</s>USER: Q2 ASSISTANT:",
        ),
        (
            [Turn("user", ("Q1",)), Turn("assistant", ("A1",)), Turn("user", (Mark.IMAGE, "Q2"))],
            "S. USER: Q1 ASSISTANT: A1</s>USER: <image>\nQ2 ASSISTANT:",
        ),
        ([Turn("user", ("Q1",)), Turn("user", ("Q2",))], "S. USER: Q1 USER: Q2 ASSISTANT:"),
        ([Turn("user", ("Q", Mark.IMAGE))], "S. USER: <image>\nQ ASSISTANT:"),
        ([Turn("user", ("Q1", "Q2", Mark.IMAGE, Mark.IMAGE))], "S. USER: <image>\n<image>\nQ1\nQ2 ASSISTANT:"),
        ([Turn("user", (Mark.IMAGE, "Q1", Mark.IMAGE, "Q2"))], "S. USER: <image>\nQ1\n<image>\nQ2 ASSISTANT:"),
        ([Turn("user", (Mark.IMAGE,))], "S. USER: <image>\n ASSISTANT:"),
        ([Turn("user", ("",))], "S. USER:  ASSISTANT:"),
        (
            [Turn("user", ("Q1",)), Turn("assistant", ("A1", "A2")), Turn("user", ("Q2",))],
            "S. USER: Q1 ASSISTANT: A1\nA2</s>USER: Q2 ASSISTANT:",
        ),
    ],
)
def test_template(turns: list[Turn], text: str) -> None:
    assert shown(*turns) == text


def test_an_image_takes_its_positions() -> None:
    ids = encode_conversation(TOKENIZER, prompt(), 144, [Turn("user", (Mark.IMAGE, Mark.IMAGE, "Q"))])
    at = np.flatnonzero(np.array(ids) == IMAGE_TOKEN)
    assert len(at) == 288
    assert set(np.diff(at).tolist()) == {1, 3}, "between two images stand a dummy space and a line break"


def test_the_dummy_space_stands_on_both_sides_of_an_image() -> None:
    ids = encode_conversation(TOKENIZER, prompt(), 1, [Turn("user", (Mark.IMAGE, "Q"))])
    at = ids.index(IMAGE_TOKEN)
    space, line_break = (TOKENIZER.encode(text, space_prefix=False)[0] for text in (" ", "\n"))
    assert (ids[at - 1], ids[at + 1 : at + 3]) == (space, [space, line_break])


def test_the_legacy_flag_decides_how_text_after_an_end_token_is_cut() -> None:
    turns = [Turn("user", ("Q1",)), Turn("assistant", ("A1",)), Turn("user", ("Q2",))]
    old = encode_conversation(TOKENIZER, prompt(legacy=True), 1, turns)
    new = encode_conversation(TOKENIZER, prompt(legacy=False), 1, turns)
    at = old.index(2)
    assert old[: at + 1] == new[: at + 1]
    assert TOKENIZER.bytes_of(old[at + 1])[:1] == b" "
    assert TOKENIZER.bytes_of(new[at + 1])[:1] == b"U"


def test_another_system_text_takes_the_place_of_the_first() -> None:
    ids = encode_conversation(TOKENIZER, prompt(), 1, [Turn("user", ("Q",))], system="Be brief.")
    assert b"".join(TOKENIZER.bytes_of(token) for token in ids).decode() == " Be brief. USER: Q ASSISTANT:"


@given(
    st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(["</s>", "<s>", "<image>", "<unk>", "<0x02>"])
)
def test_text_never_becomes_a_mark_or_a_control_token(text: str) -> None:
    ids = encode_conversation(TOKENIZER, prompt(), 1, [Turn("user", (Mark.IMAGE, f"a {text} b"))])
    assert ids.count(IMAGE_TOKEN) == 1
    assert not {1, 2} & set(ids[1:])
    assert b"".join(TOKENIZER.bytes_of(token) for token in ids if token >= 0).endswith(
        f"a {text} b ASSISTANT:".encode()
    )


def test_marks_are_what_upstream_writes() -> None:
    assert [mark.value for mark in Mark] == ["<image>", "</s>"]
