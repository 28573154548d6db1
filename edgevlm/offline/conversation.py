"""One conversation with a model: what was said, and the features of its pictures. Knows no terminal."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from edgevlm_server.text.prompt import Mark, Turn

from edgevlm.offline.local_model import LocalModel


class Conversation:
    """Grows by a question and its answer at a time; pictures are encoded once."""

    def __init__(self, model: LocalModel, max_tokens: int) -> None:
        self._model = model
        self._max_tokens = max_tokens
        self.begin()

    def begin(self) -> None:
        """Forget everything."""
        self._turns: list[Turn] = []
        self._features = self._model.features([])
        self._waiting = 0

    def show(self, picture: Path) -> None:
        """In front of the next question. Raises `CommandError`."""
        self._features = np.concatenate([self._features, self._model.features([picture])])
        self._waiting += 1

    def ask(self, question: str) -> Iterator[str]:
        """Pieces of the answer. What is not answered to its end, or is too long, was never said; pictures stay."""
        turn = Turn("user", (*[Mark.IMAGE] * self._waiting, question))
        said = ""
        for piece in self._model.answer([*self._turns, turn], self._features, self._max_tokens):
            said += piece
            yield piece
        self._turns += [turn, Turn("assistant", (said.strip(),))]
        self._waiting = 0
