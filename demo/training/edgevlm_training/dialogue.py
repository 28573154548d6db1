"""Questions and answers as token ids, laid out by serving's own template. Knows no pictures and no torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgevlm_demo.scenes import Question
from edgevlm_server.text.prompt import Mark, Turn, render
from edgevlm_server.text.tokenizer import Tokenizer

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
        self._tokenizer = Tokenizer(model_file)
        self.vocab_size = self._tokenizer.vocab_size
        self.before_image = [BOS, *self._encode(pieces([])[0])]

    def prompt(self, question: str) -> list[int]:
        """The ids after the image for a single question; generation goes on from here."""
        return self._encode(pieces([question])[1])

    def dialogue(self, questions: Sequence[Question]) -> Dialogue:
        """Several turns about one image."""
        ids: list[int] = []
        is_answer: list[bool] = []
        spans = []
        asked_pieces = pieces([question.text for question in questions])[1:]
        for piece, question in zip(asked_pieces, questions, strict=True):
            asked = self._encode(piece)
            # the dummy prefix of the answer is the space after "ASSISTANT:"
            answer = [*self._encode(question.answer), EOS]
            spans.append((len(ids) + len(asked), len(ids) + len(asked) + len(answer)))
            ids += asked + answer
            is_answer += [False] * len(asked) + [True] * len(answer)
        return Dialogue(ids, is_answer, spans)

    def text(self, ids: Iterable[int]) -> str:
        return b"".join(map(self._tokenizer.bytes_of, ids)).decode(errors="replace").strip()

    def _encode(self, text: str) -> list[int]:
        # `legacy: true`: what follows the image or `</s>` begins with the dummy prefix, as any piece
        return self._tokenizer.encode(text, space_prefix=True)


def pieces(questions: Sequence[str]) -> list[str]:
    """What stands before the image, then each question's text up to `ASSISTANT:`, without the answers."""
    first, *others = questions or [""]
    turns = [Turn("user", (Mark.IMAGE, first))]
    for question in others:
        turns += [Turn("assistant", ("",)), Turn("user", (question,))]
    texts = [piece for piece in render(turns, SYSTEM) if isinstance(piece, str)]
    return [texts[0], *(text.removesuffix(" ") for text in texts[1 : len(questions) + 1])]
