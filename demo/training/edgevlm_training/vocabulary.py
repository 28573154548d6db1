"""Trains the demo's SentencePiece vocabulary on the dialogues of the scenes, the same on every machine."""

from __future__ import annotations

import io
import shutil
import string
from collections.abc import Iterator
from pathlib import Path

from edgevlm_demo.scenes import SCENES, Question, draw_scene
from sentencepiece import SentencePieceTrainer

from edgevlm_training.dialogue import pieces
from edgevlm_training.seeds import VOCABULARY_SEED

VOCAB_SIZE = 800
PICTURES = 400  # of each scene
REQUIRED = string.ascii_letters + string.digits + string.punctuation


def provide_vocabulary(model_file: Path, start: Path | None) -> None:
    """That of the checkpoint to begin with, or a new one; one that is there stays, for weights may depend on it."""
    given = start / "tokenizer.model" if start else None
    if model_file.exists():
        if given and model_file.read_bytes() != given.read_bytes():
            raise SystemExit(f"{model_file} is another vocabulary than {given}: choose another --out")
    elif given:
        shutil.copyfile(given, model_file)
    else:
        train_vocabulary(model_file)


def train_vocabulary(model_file: Path) -> None:
    """Write `tokenizer.model`: BPE with byte fallback, one piece a digit, LLaMA's special ids."""
    model = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=corpus(),
        model_writer=model,
        model_type="bpe",
        vocab_size=VOCAB_SIZE,
        byte_fallback=True,
        split_digits=True,
        character_coverage=1.0,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        add_dummy_prefix=True,
        allow_whitespace_only_pieces=True,
        required_chars=REQUIRED,
        unk_id=0,
        bos_id=1,
        eos_id=2,
        pad_id=-1,
        num_threads=1,
        minloglevel=2,
    )
    model_file.parent.mkdir(parents=True, exist_ok=True)
    model_file.write_bytes(model.getvalue())


def corpus() -> Iterator[str]:
    """Lines of dialogue: single turns, and second turns that begin with a bare `USER:`."""
    for name in SCENES:
        for offset in range(PICTURES):
            scene = draw_scene(name, VOCABULARY_SEED + offset)
            yield pieces([])[0]
            for question in scene.questions:
                _, first, second = pieces([question.text, question.text])
                yield from (second if offset % 2 else first).splitlines()
                yield from _answer_lines(question)


def _answer_lines(question: Question) -> Iterator[str]:
    if question.family == "label text":
        # no two characters of a label may become one piece: the model reads them one by one
        yield from question.answer
    else:
        yield f"ASSISTANT: {question.answer}"
