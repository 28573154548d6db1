"""The echo engine: no model, exact answers. The whole HTTP surface is tested and tried on it.

It answers a prompt with the prompt's own tokens after its last image (or after its first token), then the end token.
Each image adds one token in front that depends on every pixel, so a mix-up of pictures shows.
"""

import zlib
from dataclasses import dataclass

import numpy as np

from edgevlm_engines.checked_engine import CheckedEngine
from edgevlm_engines.engine import IMAGE_TOKEN, EngineInfo, Floats, Segment, Tokens
from edgevlm_engines.manifest import Manifest

FIRST_TEXT_TOKEN = 259
"""In a SentencePiece vocabulary with byte fallback, ids below are control tokens and bytes."""


def echo_info(manifest: Manifest, *, slots: int, max_length: int, chunk: int) -> EngineInfo:
    """Of an echo engine with the shape of a bundle's model."""
    return EngineInfo.of(
        manifest,
        name="echo",
        device="none",
        precision="none",
        slots=slots,
        max_length=max_length,
        chunk=chunk,
        position_bytes=8,
    )


@dataclass(frozen=True, slots=True)
class EchoSegment:
    """The tokens at some positions of a slot."""

    start: int
    tokens: Tokens

    @property
    def length(self) -> int:
        return len(self.tokens)

    def free(self) -> None:
        """There is nothing to release."""


class EchoEngine(CheckedEngine):
    """Behaves like a model of the given shape. Its cache holds the tokens that were written to each slot."""

    def __init__(self, info: EngineInfo, end_token: int) -> None:
        super().__init__(info)
        self._end = end_token
        self._slots: Tokens = np.full((info.slots, info.max_length), end_token, np.int64)
        self._prompt_lengths = [0] * info.slots

    def close(self) -> None:
        """There is nothing to release."""

    def _encode_image(self, picture: Floats) -> Floats:
        """Every feature is the number of the token that the picture stands for."""
        span = self._info.vocab_size - FIRST_TEXT_TOKEN
        token = FIRST_TEXT_TOKEN + zlib.crc32(np.ascontiguousarray(picture).tobytes()) % span
        return np.full((self._info.image_tokens, self._info.hidden_size), token, np.float32)

    def _prefill(self, slot: int, start: int, tokens: Tokens, features: Floats) -> Floats:
        written = tokens.copy()
        # an image position holds minus the token that its picture stands for
        written[tokens == IMAGE_TOKEN] = -features[:, 0].astype(np.int64)
        self._slots[slot, start : start + len(tokens)] = written
        self._prompt_lengths[slot] = start + len(tokens)
        return self._logits(slot, start + len(tokens))

    def _decode(self, tokens: Tokens, lengths: Tokens) -> Floats:
        for slot, (token, length) in enumerate(zip(tokens, lengths, strict=True)):
            self._slots[slot, length] = token
        return np.stack([self._logits(slot, int(length) + 1) for slot, length in enumerate(lengths)])

    def _move_slot(self, source: int, target: int, length: int) -> None:
        self._slots[target, :length] = self._slots[source, :length]
        self._prompt_lengths[target] = self._prompt_lengths[source]

    def _save(self, slot: int, start: int, stop: int) -> Segment:
        return EchoSegment(start, self._slots[slot, start:stop].copy())

    def _restore(self, slot: int, segment: Segment, length: int) -> None:
        assert isinstance(segment, EchoSegment)
        self._slots[slot, segment.start : segment.start + length] = segment.tokens[:length]

    def _logits(self, slot: int, length: int) -> Floats:
        prompt_length = self._prompt_lengths[slot]
        answer = self._answer(self._slots[slot, :prompt_length])
        step = length - prompt_length
        logits = np.zeros(self._info.vocab_size, np.float32)
        logits[answer[step] if step < len(answer) else self._end] = 30.0
        return logits

    def _answer(self, prompt: Tokens) -> Tokens:
        is_image = prompt < 0
        starts = np.flatnonzero(is_image & ~np.concatenate(([False], is_image[:-1])))
        text = prompt[np.flatnonzero(is_image)[-1] + 1 :] if len(starts) else prompt[1:]
        # an end token from an earlier turn would end the answer there
        return np.concatenate((-prompt[starts], text[text != self._end]))
