"""Questions and answers as token ids, laid out exactly as serving does it. Knows no pictures and no torch.

Template `v1`: the pieces left and right of the image are tokenised alone, and so is what follows `</s>`
(`legacy: true`); each piece begins with SentencePiece's dummy prefix.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sentencepiece import SentencePieceProcessor

from .scenes import Question

SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)
BOS, EOS = 1, 2


@dataclass(frozen=True)
class Dialogue:
    """Everything after the image: ids, which of them are answers, and each question's answer span."""

    ids: list[int]
    is_answer: list[bool]
    spans: list[tuple[int, int]]  # half-open, `</s>` included


class DialogueTokenizer:
    """`before_image` holds the ids up to the image, BOS included; they are the same in every dialogue."""

    def __init__(self, model_file: Path) -> None:
        self._pieces = SentencePieceProcessor(model_file=str(model_file))
        self.vocab_size = int(self._pieces.vocab_size())
        self.before_image = [BOS, *self._encode(left_piece())]

    def prompt(self, question: str) -> list[int]:
        """The ids after the image for a single question; generation goes on from here."""
        return self._encode(right_piece(question))

    def dialogue(self, questions: Sequence[Question]) -> Dialogue:
        """Several turns about one image."""
        ids: list[int] = []
        is_answer: list[bool] = []
        spans = []
        for turn, question in enumerate(questions):
            asked = self._encode((right_piece if turn == 0 else next_piece)(question.text))
            # the dummy prefix of the answer is the space after "ASSISTANT:"
            answer = [*self._encode(question.answer), EOS]
            spans.append((len(ids) + len(asked), len(ids) + len(asked) + len(answer)))
            ids += asked + answer
            is_answer += [False] * len(asked) + [True] * len(answer)
        return Dialogue(ids, is_answer, spans)

    def text(self, ids: Iterable[int]) -> str:
        decoded: str = self._pieces.decode([i for i in ids if i not in (BOS, EOS)])
        return decoded.strip()

    def _encode(self, text: str) -> list[int]:
        encoded: list[int] = self._pieces.encode(text)
        return encoded


def left_piece() -> str:
    return f"{SYSTEM} USER: "


def right_piece(question: str) -> str:
    return f"\n{question} ASSISTANT:"


def next_piece(question: str) -> str:
    return f"USER: {question} ASSISTANT:"
