"""Requests without meaning for any engine: random pixels and token ids, of sizes that are asked for."""

import numpy as np
from edgevlm_engines import IMAGE_TOKEN, Engine, Floats, Tokens

QUESTION = 16
"""Text tokens beside each picture."""

SPECIAL_TOKENS = 3


class Workload:
    """Calls of one engine. What the calls compute is not looked at; what they cost does not depend on it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._info = engine.info
        self._random = np.random.default_rng(0)
        self._pixels = self._drawn(1)

    def encode(self, pictures: int = 1) -> Floats:
        """Features of some pictures, `[pictures * image_tokens, hidden_size]`."""
        if len(self._pixels) != pictures:
            # once for each number: a fast GPU takes less time for a picture than it takes to draw one
            self._pixels = self._drawn(pictures)
        return self._engine.encode_images(self._pixels).reshape(-1, self._info.hidden_size)

    def prefill(self, length: int) -> None:
        """A text of `length` tokens from the start of slot 0, in the engine's chunks."""
        self._prefill(self._text(length), np.empty((0, self._info.hidden_size), np.float32))

    def prefill_pictures(self, features: Floats) -> None:
        """A prompt in slot 0 with these features, a question's worth of text behind each picture."""
        marks = np.full(self._info.image_tokens, IMAGE_TOKEN, np.int64)
        parts = [np.append(marks, self._text(QUESTION)) for _ in range(len(features) // self._info.image_tokens)]
        self._prefill(np.concatenate(parts), features)

    def fill(self, slots: int, length: int) -> None:
        """Give slots `0..slots-1` a past of `length` positions: computed in the first, copied to the others."""
        self.prefill(length)
        for slot in range(1, slots):
            self._engine.move_slot(0, slot, length)

    def decode(self, slots: int, length: int) -> None:
        """One step of slots `0..slots-1`, each with `length` positions behind it."""
        self._engine.decode(self._text(slots), np.full(slots, length, np.int64))

    def _drawn(self, pictures: int) -> Floats:
        edge = self._info.image_size
        return self._random.standard_normal((pictures, 3, edge, edge), dtype=np.float32)

    def _text(self, length: int) -> Tokens:
        return self._random.integers(SPECIAL_TOKENS, self._info.vocab_size, length, dtype=np.int64)

    def _prefill(self, tokens: Tokens, features: Floats) -> None:
        used = 0
        for start in range(0, len(tokens), self._info.max_chunk):
            chunk = tokens[start : start + self._info.max_chunk]
            pictured = int(np.count_nonzero(chunk == IMAGE_TOKEN))
            self._engine.prefill(0, start, chunk, features[used : used + pictured])
            used += pictured
